import json

import pytest
from markupsafe import Markup
from report_material import EVIL, Page, make_run

from vidmoco.report.curves import curves_section, monitor_charts
from vidmoco.report.run_facts import read_run


def titles(page):
    return [text for element, text in page.texts if element == "strong"]


def test_every_curve_with_a_number_is_there(tmp_path):
    section = curves_section(read_run(make_run(tmp_path / "run")))
    page = Page(Markup().join(section.parts))
    assert titles(page) == [
        "Loss minus chance",
        "The positive among all keys",
        "Effective rank",
        "Spread",
        "Alignment and uniformity",
        "Learning rate",
        "Throughput",
        "Waiting for data",
    ]
    assert "there are 3" in section.lead
    columns = [text for element, text in page.texts if element == "title"]
    assert "epoch 3\ntop-1 30.0 %\ntop-5 50.0 %" in columns
    assert "epoch 3\nwait 25.0 %" in columns
    assert "epoch 1\nloss − chance −1" in columns


def test_a_log_without_epochs_has_steps(tmp_path):
    run = make_run(tmp_path / "run")
    (run / "metrics.jsonl").write_text('{"step": 5, "lr": 0.5}\n{"step": 9, "lr": "x"}\n')
    page = Page(Markup().join(curves_section(read_run(run)).parts))
    assert titles(page) == ["Learning rate"]
    columns = [text for element, text in page.texts if element == "title"]
    assert columns == ["step 5\nrate 0.500", "step 9\nrate not a number"]


def test_the_monitor(tmp_path):
    lines = [
        {"step": 0, "epoch": 0.0, "retrieval": {"8.0": 20.0, "0.5": 80.0}},
        {"step": 5, "epoch": 0.5, "knn_top1": 40.0, "retrieval": None},
        {"step": 9, "epoch": 0.9, "knn_top1": 60.0, "retrieval": {"0.5": 90.0, EVIL: "x"}},
    ]
    page = Page(Markup().join(monitor_charts(lines)))
    assert titles(page) == ["k-NN accuracy", "Retrieval"]
    columns = [text for element, text in page.texts if element == "title"]
    assert columns[0] == "epoch 0.500\nk-NN 40.0 %"
    assert columns[2] == "epoch 0\n0.5 s 80.0 %\n8.0 s 20.0 %"
    run = make_run(tmp_path / "run")
    lines.append({"step": 10, "failure": EVIL})
    (run / "monitor.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    page = Page(Markup().join(curves_section(read_run(run)).parts))
    assert titles(page)[2:5] == ["k-NN accuracy", "Retrieval", "Effective rank"]
    assert f"The monitor: {EVIL}" in page.text


def test_distances_come_by_their_numbers():
    keys = ["b", "8.0", "a", "0.5", "nan", "10", "2"]
    for given in (keys, keys[::-1], sorted(keys)):
        page = Page(
            Markup().join(monitor_charts([{"step": 1, "retrieval": dict.fromkeys(given, 1.0)}]))
        )
        names = [text for element, text in page.texts if element == "span"][1:]
        assert names == [f"{key} s" for key in ("0.5", "2", "8.0", "10", "a", "b", "nan")]


@pytest.mark.parametrize("lines", [[], [{"step": 1}]])
def test_without_a_monitor_there_is_nothing(lines):
    assert monitor_charts(lines) == ["", ""]
