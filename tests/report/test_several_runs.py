import json
from pathlib import Path

import pytest
from report_material import Page, foreign_addresses, make_run, results, row, write_json

from vidmoco.cli.main import main
from vidmoco.config.methods import SimCLRConfig
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.report.run_facts import read_run
from vidmoco.report.several_runs import names_of, several_sections


@pytest.fixture
def runs(tmp_path):
    config = PretrainConfig(videos=(Path("/other"),), epochs=3, method=SimCLRConfig(tau=0.3))
    first, second = make_run(tmp_path / "one"), make_run(tmp_path / "two", config, steps=20)
    return first, second


def test_curves_lie_over_each_other(runs):
    curves, numbers, settings = several_sections([read_run(run) for run in runs])
    text = "".join(curves.parts)
    assert text.count("<figure") == 8  # no monitor: no k-NN; these lines have no similarity
    for title in ("Loss minus chance", "The positive among all keys: top-1", "Effective rank"):
        assert f"<strong>{title}</strong>" in text
    page = Page(text)
    legends = [words for element, words in page.texts if element == "span"]
    assert legends.count("one") == legends.count("two") == 8
    assert "30" in "".join(numbers.parts) and "20" in "".join(numbers.parts)
    differ = "".join(settings.parts)
    assert "method.name" in differ and "simclr" in differ and "method.tau" in differ
    assert "videos" not in differ and "optim.lr" not in differ


def test_the_monitor_s_numbers_are_compared(runs):
    lines = [
        {"step": 10 * n, "epoch": float(n), "knn_top1": knn} for n, knn in ((1, 31.5), (2, 42.5))
    ]
    (runs[0] / "monitor.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    curves, numbers, _ = several_sections([read_run(run) for run in runs])
    assert "k-NN accuracy" in "".join(curves.parts)
    assert "42.5" in "".join(numbers.parts) and "31.5" not in "".join(numbers.parts)


def test_a_run_has_one_colour_in_all_charts(runs):
    (runs[1] / "monitor.jsonl").write_text('{"step": 10, "knn_top1": 31.5}\n')
    curves = several_sections([read_run(run) for run in runs])[0]
    page = Page("".join(curves.parts))
    names = [words for element, words in page.texts if element == "span" and words in "one two"]
    keys = [key["class"].split()[1] for key in page.all("path", d="M1 5L25 5", class_="line")]
    looks = zip(names, keys, strict=True)
    assert set(looks) == {("one", "s0"), ("two", "s1")} and names[0] == "two"


def test_equal_runs_differ_in_nothing(tmp_path):
    facts = [read_run(make_run(tmp_path / name)) for name in ("a", "b")]
    assert several_sections(facts)[2].lead == "None: the runs have the same settings."


def test_a_config_that_cannot_be_read_is_said(runs):
    (runs[0] / "config.yaml").write_text("nonsense: 1\n")
    settings = several_sections([read_run(run) for run in runs])[2]
    assert "nonsense" in "".join(settings.parts)


def test_runs_of_one_name_have_the_folder_above_too(tmp_path):
    facts = [read_run(make_run(tmp_path / name / "run")) for name in ("a", "b")]
    assert names_of(facts) == ["a/run", "b/run"]


def test_the_command_writes_one_page(runs, tmp_path):
    for run, knn in zip(runs, (40.0, 60.0), strict=True):
        write_json(run / "results.json", results(row(run.name, knn=knn)))
    output = tmp_path / "both.html"
    assert main(["report", *map(str, runs), "-o", str(output)]) == 0
    text = output.read_text()
    assert "one, two" in text and text.count("pets") >= 2 and foreign_addresses(text) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Nothing to report on"),
        (["one", "two"], "-o report.html"),
        (["one", "one", "-o", "r.html"], "one is given twice; give each run or file once."),
        (["one", "two", "link", "-o", "r.html"], "one is link; give each run or file once."),
        (["one", "gone", "-o", "r.html"], "No such file or folder: gone"),
        (["results.txt", "-o", "r.html"], "results.txt is not a results file"),
    ],
)
def test_what_cannot_be_compared(words, said, runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results.txt").touch()
    (tmp_path / "link").symlink_to("one")
    assert main(["report", *words]) == 2
    assert said in capsys.readouterr().err


def test_names_go_up_as_far_as_they_must(tmp_path):
    folders = ("x/a/run", "y/a/run", "y/b/other")
    facts = [read_run(make_run(tmp_path / name)) for name in folders]
    assert names_of(facts) == list(folders)
    assert names_of(facts[1:]) == ["run", "other"]
