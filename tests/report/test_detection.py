import pytest
from report_material import (
    EVIL,
    Page,
    make_run,
    results,
    row,
    transfer_results,
    transfer_run,
    write_json,
)

from vidmoco.errors import ConfigError
from vidmoco.report.detection import (
    holds_transfer,
    is_transfer,
    read_transfer,
    transfer_header,
    transfers_section,
    val_of,
)


def test_which_folders_and_files_are_of_transfers(tmp_path):
    run = transfer_run(tmp_path / "done")
    assert holds_transfer(run)
    assert holds_transfer(transfer_run(tmp_path / "open", is_done=False))
    begun = tmp_path / "begun"
    begun.mkdir()
    write_json(begun / "environment.json", {"command": ["x/vidmoco", "evaluate-detection"]})
    assert holds_transfer(begun)
    trained = make_run(tmp_path / "run")
    assert not holds_transfer(trained)
    write_json(trained / "results.json", transfer_results())
    assert not holds_transfer(trained)
    assert read_transfer(trained / "results.json").metrics == []
    assert not holds_transfer(tmp_path)
    assert is_transfer(transfer_results()) and not is_transfer(results(row("a")))
    assert not is_transfer([])


def test_one_transfer(tmp_path):
    run = transfer_run(tmp_path / "one")
    for given in (run, run / "results.json"):
        section = transfers_section([read_transfer(given)])
        assert section.title == "Detection on VOC2007 test"
        page = Page("".join(section.parts))
        cells = [text for element, text in page.texts if element == "td"]
        assert cells[:7] == ["one", "random", "c4", "COCO, 101 recalls", "40.2", "61.5", "43.5"]
        assert cells[10:14] == ["VOC 2007, 11 recalls", "41.8", "62.5", "44.5"]
        titles = [text for element, text in page.texts if element == "strong"]
        assert titles == ["Loss", "Learning rate", "Throughput"]
        losses = ("sum 2.500", "classes 0.500", "boxes 0.250", "objectness 0.750", "proposals 1")
        assert "\n".join(losses) in page.text and "2 images are in both" in page.text
        assert EVIL in page.text and page.all("script") == []
    assert "61.5" in "".join(transfer_header(read_transfer(run)))


def test_several_transfers_are_rows_of_one_table(tmp_path):
    runs = [transfer_run(tmp_path / name, kind="coco", val="v.json:v") for name in ("a", "b")]
    copied = write_json(runs[0] / "c.json", transfer_results(kind="coco", ap=1.5, val="v.json:v"))
    section = transfers_section([read_transfer(path) for path in (*runs, copied)])
    assert read_transfer(copied).metrics == []  # those beside it may be of another run
    text = "".join(section.parts)
    cells = [text for element, text in Page(text).texts if element == "td"]
    assert [cells[n] for n in (0, 4, 7, 11, 14, 18)] == ["a", "40.2", "b", "40.2", "c", "1.5"]
    assert cells[21:28] == ["disc", "40.2", "40.2", "1.5", EVIL, "–", "–"]
    assert text.count("<figure") == 3
    assert section.title == "Detection on v"


def test_equal_names_are_told_apart_by_their_paths(tmp_path):
    runs = [transfer_run(tmp_path / name / "run") for name in ("a", "b")]
    text = "".join(transfers_section([read_transfer(run) for run in runs]).parts)
    assert all(str(run / "results.json") in text for run in runs)


def test_what_cannot_be_shown(tmp_path):
    with pytest.raises(ConfigError, match=r"without results\.json,.*--resume"):
        read_transfer(transfer_run(tmp_path / "open", is_done=False))
    damaged = write_json(tmp_path / "d.json", transfer_results() | {"voc07": {}})
    with pytest.raises(ConfigError, match=r"d\.json is damaged"):
        read_transfer(damaged)


def test_the_name_of_val(tmp_path):
    for val, name in (("VOC2007:test", "VOC2007 test"), ("a/val2017.json:b/c", "val2017")):
        path = write_json(tmp_path / "r.json", transfer_results(val=val))
        assert val_of(read_transfer(path)) == name
