import io
import json

import numpy as np
import pytest
from chromium import Chromium
from explore_features import random_features, write_features
from PIL import Image
from report_material import (
    EVIL,
    Page,
    chromium_or_skip,
    foreign_addresses,
    make_run,
    results,
    row,
    write_json,
)

from vidmoco.cli.main import main
from vidmoco.errors import ConfigError
from vidmoco.evaluate.results_table import FORMAT
from vidmoco.report import feature_sections
from vidmoco.video.catalog import Catalog
from vidmoco.video.info import VideoInfo


def report(*words):
    return main(["report", *map(str, words)])


def full_run(folder):
    """A run with something in every section, and evil names in all of them."""
    run = make_run(folder / EVIL.replace("/", "_"))
    name = EVIL.replace("/", "_")
    curve = {"recipe": "moco_v1", "lr": 30.0, "epochs": [{"epoch": 1.0, "top1": 9.0}], "top1": 9.0}
    more = {"finetune": {"head": curve}, "video_top1": {"knn": {"mean": 3.0}}}
    rows = [row(EVIL) | more, row("b" * 60, linear=60.0) | more]
    refused = [{"name": EVIL, "split": EVIL, "reason": EVIL}]
    data = results(
        *rows, classes=[EVIL, "c" * 70], images=f"/{EVIL}", refused=refused, notes=[EVIL]
    )
    write_json(run / "results.json", data)
    lines = [
        {"step": n, "knn_top1": 5.0, "retrieval": {EVIL: 3.0}, "failure": EVIL} for n in (1, 2)
    ]
    (run / "monitor.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    common = {"root": "/v", "num_bytes": 1, "mtime_ns": 1}
    Catalog.from_rows([VideoInfo(key=f"{name}.mp4", reason=EVIL, **common)]).save(
        run / "catalog.parquet"
    )
    environment = json.loads((run / "environment.json").read_text())
    environment["command"].append(EVIL)
    environment[EVIL] = EVIL
    write_json(run / "environment.json", environment)
    features = folder / "feats"
    write_features(features / "a.npy", random_features(6), source=folder / f"{name}a.mp4")
    write_features(features / "b.npy", random_features(6), source=folder / f"{name}b.mp4")
    return run, features


def without_tsne():
    raise ConfigError("t-SNE needs scikit-learn")


@pytest.fixture(scope="module")
def full_page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("full")
    run, features = full_run(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feature_sections, "require_tsne", without_tsne)  # takes seconds to load
        assert report(run, "--features", features, "-o", folder / "page.html") == 0
    return folder / "page.html"


def test_every_section_is_there_and_no_name_is_markup(full_page):
    text = full_page.read_text()
    page = Page(text)
    heads = [text for element, text in page.texts if element == "h2"]
    assert heads == [
        "Curves", "Sampled pairs", f"Comparison on {EVIL.rpartition('/')[2]}",
        "Map of the frames", "Nearest neighbours", "Refused files", "Configuration",
        "Environment", "Repeat it",
    ]  # fmt: skip
    assert page.all("script") == [{}] and text.count("<script") == text.count("</script") == 1
    assert text.count("</style>") == 1
    assert page.text.count("alert(1)") > 40
    assert foreign_addresses(text) == []


def test_the_page_is_put_where_it_is_looked_for(tmp_path, capsys):
    run = make_run(tmp_path / "run")
    assert report(run) == 0
    assert capsys.readouterr().out.startswith(f"{run / 'report.html'}: ")
    path = write_json(tmp_path / "r.json", results(row("a"), row("b")))
    assert report(path) == 0
    page = Page((tmp_path / "r.html").read_text())
    assert ("h1", "Backbones on pets") in page.texts
    more = write_json(run / "more.json", results(row("a"), row("b")))
    assert report(run, "--results", path, more, "-o", tmp_path / "new" / "x.HTML") == 0
    heads = [t for e, t in Page((tmp_path / "new" / "x.HTML").read_text()).texts if e == "h2"]
    assert heads.count("Comparison on pets") == 2
    assert report(path) == 0  # its own page is replaced
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new", "r.html", "r.json", "run"]


def refusal(capsys, *words):
    assert report(*words) == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err.count("\n") == 1, told
    return told.err


def test_what_cannot_be_shown_is_one_line(tmp_path, capsys):
    assert "No such file or folder" in refusal(capsys, tmp_path / "gone")
    (tmp_path / "empty").mkdir()
    assert "not a run folder" in refusal(capsys, tmp_path / "empty")
    run = make_run(tmp_path / "run")
    assert "config.yaml is not a results file" in refusal(capsys, run / "config.yaml")
    assert "No such file or folder" in refusal(capsys, run, "--results", tmp_path / "gone.json")
    other = write_json(tmp_path / "r.json", results(row("a"), format=FORMAT + 1))
    assert f"format {FORMAT + 1}" in refusal(capsys, other)
    odd = row("a") | {"few_shot_top1": {"much": [1.0]}}
    assert "is damaged" in refusal(capsys, write_json(tmp_path / "r.json", results(odd)))
    (tmp_path / "r.json").write_text("")
    assert "r.json is empty; expected a results file" in refusal(capsys, tmp_path / "r.json")
    lost = make_run(tmp_path / "lost")
    (lost / "config.yaml").write_text("")
    assert "config.yaml is empty" in refusal(capsys, lost)
    (run / "metrics.jsonl").write_text("{}\n")
    assert "damaged in line 1" in refusal(capsys, run)
    (run / "metrics.jsonl").write_text("")
    assert "no metrics yet" in refusal(capsys, run)
    write_json(tmp_path / "r.json", results(row("a")))
    assert "No such file or folder" in refusal(
        capsys, tmp_path / "r.json", "--features", tmp_path / "no"
    )


def test_a_damaged_source_among_several_costs_itself_only(tmp_path, capsys):
    good, other, torn = (make_run(tmp_path / name) for name in ("good", "other", "torn"))
    (torn / "metrics.jsonl").write_text("{}\n")
    bad, page = tmp_path / "bad.json", tmp_path / "page.html"
    bad.write_text("{")
    (other / "results.json").write_text("{")
    assert report(good, torn, other, "--results", bad, "-o", page) == 1
    told = capsys.readouterr().err
    assert "Left out:" in told and page.is_file()
    shown = page.read_text()
    assert "Left out" in shown and "Last numbers" in shown
    for name in ("torn/metrics.jsonl is damaged in line 1", "bad.json", "other/results.json"):
        assert name in " ".join(told.split()) and name in shown
    odd = write_json(tmp_path / "odd.json", results(row("a") | {"few_shot_top1": {"much": [1.0]}}))
    assert report(good, odd, "-o", page) == 1
    assert "odd.json is damaged" in page.read_text() and capsys.readouterr().err
    assert "None of 2 sources can be read." in refusal(capsys, torn, bad, "-o", page)


def test_a_folder_of_runs_says_how_to_give_them(tmp_path, capsys):
    make_run(tmp_path / "sweep" / "s0")
    said = refusal(capsys, tmp_path / "sweep")
    assert "is not a run folder, and 1 in it are" in said and "sweep/* -o report.html" in said


def test_outputs_that_cannot_be_written(tmp_path, capsys):
    run = make_run(tmp_path / "run")
    assert "must end in .html" in refusal(capsys, run, "-o", tmp_path / "x.pdf")
    other = tmp_path / "other.html"
    other.write_text("<p>someone else's")
    assert "is not a report of vidmoco" in refusal(capsys, run, "-o", other)
    assert other.read_text() == "<p>someone else's"
    (tmp_path / "folder.html").mkdir()
    assert "cannot be written" in refusal(capsys, run, "-o", tmp_path / "folder.html")
    assert "other.html is a file, not a folder" in refusal(capsys, run, "-o", other / "x.html")
    assert "Cannot write to /proc/" in refusal(capsys, run, "-o", "/proc/new/x.html")
    assert not list(tmp_path.rglob("*.part"))


def test_a_damaged_monitor_costs_its_line_and_not_the_page(tmp_path, capsys):
    run = make_run(tmp_path / "run")
    lines = ['{"step": 1, "epoch": 0.1, "knn_top1": 40.0}', "{", '{"step": 9, "knn_top1": 45.0}']
    (run / "monitor.jsonl").write_text("\n".join(lines) + "\n")
    assert report(run) == 0
    assert "monitor.jsonl is damaged in line 2" in capsys.readouterr().err
    page = Page((run / "report.html").read_text())
    assert "monitor.jsonl is damaged in line 2" in page.text
    assert ("strong", "k-NN accuracy") in page.texts and ("h2", "Configuration") in page.texts


def test_features_that_are_left_out_are_listed(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(feature_sections, "require_tsne", without_tsne)
    features = tmp_path / "feats"
    write_features(features / "a.npy", random_features(6), source=tmp_path / "a.mp4")
    np.save(features / "b.npy", np.zeros((2, 3), np.float32))
    path = write_json(tmp_path / "r.json", results(row("a")))
    assert report(path, "--features", features) == 0
    assert "Left out:" in (told := capsys.readouterr().err) and "b.npy: has no sidecar" in told
    assert "There are no pictures of 1 of 1 video. The first: 'a.mp4', the video is not" in told


def test_a_run_in_progress_is_shown(tmp_path):
    run = make_run(tmp_path / "run", steps=20, told=None)
    assert report(run) == 0
    assert "In progress" in Page((run / "report.html").read_text()).text


def luminance(picture):
    return float(np.asarray(picture.convert("L")).mean())


def test_screenshots_at_three_widths_in_both_themes(full_page, tmp_path):
    program = chromium_or_skip()
    with Chromium(program, tmp_path / "profile") as browser:
        for width in (360, 820, 1400):
            brightness = {}
            for dark in (False, True):
                browser.open(full_page, width=width, height=900, dark=dark)
                opened = "document.querySelectorAll('details').forEach(one => one.open = true)"
                browser.value(opened)
                assert browser.value("document.documentElement.scrollWidth") <= width
                assert browser.requests() == [full_page.resolve().as_uri()]
                assert browser.complaints() == []
                assert "alert(1)" in str(browser.value("document.querySelector('h1').textContent"))
                with Image.open(io.BytesIO(browser.screenshot())) as image:
                    assert image.size == (width, 900)
                    assert len(image.convert("RGB").getcolors(2**24)) > 100  # not blank
                    brightness[dark] = luminance(image)
            assert brightness[False] > 180 and brightness[True] < 80
        # What is wide scrolls in its own box.
        browser.open(full_page, width=360, height=900, dark=False)
        boxes = (
            "[...document.querySelectorAll('.scroll')].filter(b => b.scrollWidth > b.clientWidth)"
        )
        assert browser.value(f"{boxes}.length") > 0
        styled = "getComputedStyle(document.querySelector('td.best')).backgroundColor"
        assert browser.value(styled) == "rgb(227, 239, 250)"
        assert browser.value("document.querySelector('.tile').clientWidth") > 0
        whole = browser.screenshot(whole=True)
        with Image.open(io.BytesIO(whole)) as image:
            assert image.height > 4000


def test_the_policy_stops_what_would_slip_through(tmp_path, full_page):
    """If a name became markup after all, nothing would run and nothing would be asked for."""
    program = chromium_or_skip()
    evil = "<script>document.title='ran'</script><img src='http://127.0.0.1:9/x.png'>"
    broken = tmp_path / "broken.html"
    broken.write_text(full_page.read_text().replace("<h1>", f"{evil}<h1>"))
    with Chromium(program, tmp_path / "profile") as browser:
        browser.open(broken, width=820, height=900, dark=False)
        assert browser.value("document.title") != "ran"
        assert len(browser.complaints()) >= 2
        assert browser.value("document.querySelectorAll('.tools').length") == 1  # our own ran
