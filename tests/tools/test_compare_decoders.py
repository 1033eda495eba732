from child_processes import ROOT, Process

TOOL = str(ROOT / "tools" / "compare_decoders.py")


def run(*words):
    process = Process([TOOL, *words])
    return process.wait(), process.out, process.err


def test_a_row_of_the_table(tmp_path):
    code, out, err = run(str(tmp_path), "--kind", "96 x 64")
    assert code == 0, err
    head, _, row = out.splitlines()
    assert head.startswith(
        "| wrong of 60 (! = no frame) | route | vidmoco | decord2 | PyAV, seek |"
    )
    assert row.startswith("| 96 x 64, mp4 | pyav | 0 | ")
    assert "60!" not in row
    assert [path.name for path in tmp_path.iterdir()] == ["narrow.mp4"]


def test_mistakes():
    code, _, err = run("--kind", "none")
    assert code == 2 and "no kind has 'none' in its name" in err
    code, _, err = run("none")
    assert code == 2 and "none is not a folder" in err
