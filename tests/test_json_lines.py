import pytest
from full_disk import no_file_larger_than

from vidmoco.errors import ConfigError
from vidmoco.json_lines import append_line, drop_lines_after, read_metrics, set_aside_damaged


def test_lines_come_back_but_one_that_a_crash_has_cut(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert read_metrics(path) == []
    lines = [{"step": step, "loss": step / 3} for step in range(1, 4)]
    for line in lines:
        append_line(path, line)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"step": 4, "lo')
    assert read_metrics(path) == lines
    drop_lines_after(path, 3)
    assert path.read_bytes() == whole
    drop_lines_after(path, 2)
    assert read_metrics(path) == lines[:2]


def test_without_room_the_run_is_told_and_no_line_is_lost(tmp_path):
    path = tmp_path / "run" / "metrics.jsonl"
    path.parent.mkdir()
    lines = [{"step": step, "loss": 0.5} for step in range(100)]
    with (
        no_file_larger_than(1000),
        pytest.raises(ConfigError, match=rf"{path} cannot .*too large.*--run {path.parent} --resu"),
    ):
        for line in lines:
            append_line(path, line)
    assert len(path.read_bytes()) == 1000  # the last is cut off
    whole = read_metrics(path)
    assert whole and whole == lines[: len(whole)]
    with no_file_larger_than(100), pytest.raises(ConfigError, match="too large"):
        drop_lines_after(path, 10)
    assert read_metrics(path) == whole and list(path.parent.iterdir()) == [path]
    drop_lines_after(path, whole[-1]["step"])
    assert read_metrics(path) == whole and path.read_bytes().endswith(b"\n")


@pytest.mark.parametrize(
    ("damage", "kept", "lost"),
    [
        (lambda lines: b"\0" * 4096 + b"".join(lines), [1, 2, 3], 0),
        (lambda lines: lines[0] + b"\0" * 4096 + b"\n" + b"".join(lines[1:]), [1, 2, 3], 1),
        (lambda lines: lines[0] + lines[1][:9] + b"\n" + lines[2], [1, 3], 1),
        (lambda lines: lines[0] + lines[1][:9] + lines[2], [1], 1),
        (lambda lines: lines[0] + b"\xff\xfe\n" + b"".join(lines[1:]), [1, 2, 3], 1),
        (lambda lines: b"\xef\xbb\xbf" + b"".join(lines), [1, 2, 3], 0),
        (lambda lines: b"\r\n".join(lines) + b"\n[1]\n7\n{}\n", [1, 2, 3], 3),
        (lambda lines: lines[0] + b'{"step": "2"}\n{"step": true}\n' + lines[2], [1, 3], 2),
        (lambda lines: b"[" * 100_000 + b"\n" + b"".join(lines), [1, 2, 3], 1),
        (lambda lines: b"".join(lines)[:-4], [1, 2], 0),
    ],
)
def test_a_damaged_line_costs_itself(tmp_path, damage, kept, lost):
    path = tmp_path / "metrics.jsonl"
    for step in range(1, 4):
        append_line(path, {"step": step, "loss": 0.5})
    data = damage(path.read_bytes().splitlines(keepends=True))
    path.write_bytes(data)
    assert [line["step"] for line in read_metrics(path)] == kept
    warning = set_aside_damaged(path)
    assert f"{path} is damaged: {lost} line" in warning or not lost
    assert (tmp_path / "metrics.damaged").exists() == bool(warning) == bool(lost)
    if lost:
        assert (tmp_path / "metrics.damaged").read_bytes() == data
    drop_lines_after(path, 3)
    assert [line["step"] for line in read_metrics(path)] == kept
    assert set_aside_damaged(path) == ""
