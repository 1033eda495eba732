from pathlib import Path

import pytest
from report_material import Page, make_run, results, row, transfer_run, write_json

from vidmoco.cli.main import main
from vidmoco.config.evaluation import ReportCommand
from vidmoco.errors import ConfigError
from vidmoco.report.sources import read_sources


def sources_of(*paths, more=()):
    return read_sources(ReportCommand(sources=paths, results=more, output=Path("x.html")))


@pytest.fixture
def given(tmp_path):
    run = make_run(tmp_path / "run")
    write_json(run / "results.json", results(row("own")))
    other = make_run(tmp_path / "other")
    a = write_json(tmp_path / "a.json", results(row("a")))
    b = write_json(tmp_path / "b.json", results(row("b")))
    return run, other, a, b, transfer_run(tmp_path / "boxes")


def test_sources_are_sorted_by_what_they_are(given):
    run, other, a, b, boxes = given
    for order in ((run, a, boxes, other, b), (a, b, boxes / "results.json", run, other)):
        found = sources_of(*order)
        assert [facts.folder for facts in found.runs] == [run, other]
        assert [path for path, _ in found.comparisons] == [a, b]
        assert [one.path for one in found.transfers] == [boxes / "results.json"]
    found = sources_of(a, more=(b, boxes / "results.json"))
    assert [path for path, _ in found.comparisons] == [a, b] and len(found.transfers) == 1


def test_a_run_s_own_results_are_shown_where_no_others_are_given(given):
    run, other, a, _, boxes = given
    assert [path for path, _ in sources_of(run, other).comparisons] == [run / "results.json"]
    assert [path for path, _ in sources_of(run, a).comparisons] == [a]
    assert sources_of(run, boxes).comparisons == []


def test_a_source_given_twice_is_refused(given):
    run, _, a, _, boxes = given
    twice = r"a\.json is given twice; give each run or file once"
    for sources, more in (((a, a), ()), ((a,), (a,)), ((run,), (a, a))):
        with pytest.raises(ConfigError, match=twice):
            sources_of(*sources, more=more)
    for sources, more in (((boxes, boxes / "results.json"), ()), ((boxes,), (boxes,))):
        with pytest.raises(ConfigError, match=r"boxes.results\.json is given twice"):
            sources_of(*sources, more=more)


def test_a_page_of_all_kinds(given, tmp_path):
    page = tmp_path / "all.html"
    for chosen, heads in (
        (given, ["Curves", "Last numbers", "Settings that differ"]),
        (given[2:], []),
        (given[4:], []),
    ):
        assert main(["report", *map(str, chosen), "-o", str(page)]) == 0
        found = [text for element, text in Page(page.read_text()).texts if element == "h2"]
        shown = sum(path.suffix == ".json" for path in chosen)
        assert found == [*heads, *["Comparison on pets"] * shown, "Detection on VOC2007 test"]
    assert main(["report", str(given[4])]) == 0
    assert (given[4] / "report.html").exists()


def test_of_several_what_cannot_be_read_is_left_out(tmp_path):
    run = make_run(tmp_path / "run")
    (tmp_path / "notes.txt").touch()
    sources = read_sources(ReportCommand(sources=(run, tmp_path / "notes.txt"), output=Path("o")))
    assert len(sources.runs) == 1
    assert "notes.txt is not a results file" in " ".join(sources.left_out)
    with pytest.raises(ConfigError, match=r"notes\.txt is not a results file"):
        read_sources(ReportCommand(sources=(tmp_path / "notes.txt",)))
