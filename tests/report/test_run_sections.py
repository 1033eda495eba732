import json
from dataclasses import replace

import pytest
from markupsafe import Markup
from report_material import EVIL, Page, make_run

from vidmoco.config.recipe import load_recipe
from vidmoco.report.run_facts import read_run
from vidmoco.report.run_sections import (
    configuration_section,
    duration,
    environment_section,
    refused_section,
    repeat_section,
    run_header,
)
from vidmoco.video.catalog import Catalog
from vidmoco.video.info import VideoInfo


def page_of(section):
    return Page(Markup().join(section.parts))


def test_the_header_has_state_and_last_numbers(tmp_path):
    page = Page(Markup().join(run_header(read_run(make_run(tmp_path / "run")))))
    assert ("span", "Finished") in page.texts
    assert "moco · resnet50 · 1,234 videos · 30 steps · 3 epochs · started 2026-01-02" in page.text
    bold = [text for element, text in page.texts if element == "b"]
    assert bold == ["−3", "30.0 %", "40", "2 min 30 s", "100"]
    assert "loss 4" in page.text and "25.0 % waiting for data" in page.text
    assert page.all("p", class_="warning") == []


def test_a_run_in_progress_says_so(tmp_path):
    facts = read_run(make_run(tmp_path / "run", steps=20, told=None))
    page = Page(Markup().join(run_header(facts)))
    assert "In progress , or killed" in page.text and "20 of 30 steps" in page.text
    assert f"--run {tmp_path / 'run'} --resume" in page_of(repeat_section(facts)).text


def test_a_collapse_is_told(tmp_path):
    run = make_run(tmp_path / "run")
    line = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    (run / "metrics.jsonl").write_text(json.dumps(line | {"spread": 0.01}) + "\n")
    page = Page(Markup().join(run_header(read_run(run))))
    assert len(page.all("p", class_="warning")) == 1 and "collapsed" in page.text


def test_the_header_bears_missing_and_odd_numbers(tmp_path):
    run = make_run(tmp_path / "run")
    (run / "metrics.jsonl").write_text('{"step": 5, "loss": "x", "top1": null}\n')
    (run / "monitor.jsonl").write_text('{"step": 5}\n{"step": 6, "knn_top1": 61.25}\n{"step": 7}\n')
    page = Page(Markup().join(run_header(read_run(run))))
    bold = [text for element, text in page.texts if element == "b"]
    assert bold == ["61.2 %"] and "at step 6" in page.text


def test_the_command_to_repeat(tmp_path):
    page = page_of(repeat_section(read_run(make_run(tmp_path / "a run"))))
    assert "vidmoco pretrain 'my videos' --recipe moco_v2" in page.text
    assert f"--recipe '{tmp_path / 'a run' / 'config.yaml'}'" in page.text
    assert "--resume" not in page.text


def test_what_differs_comes_first(tmp_path):
    config = load_recipe("moco_v2")
    config = replace(config, seed=5, optim=replace(config.optim, lr=0.0625))
    run = make_run(tmp_path / "run", config)
    section = configuration_section(read_run(run))
    assert section.lead == "Settings that differ from the recipe moco_v2."
    cells = [text for element, text in page_of(section).texts if element == "code"]
    assert cells[:6] == ["optim.lr", "0.0625", "0.03", "seed", "5", "0"]
    assert "lr: 0.0625" in cells[6]
    section = configuration_section(read_run(make_run(tmp_path / "b", load_recipe("moco_v2"))))
    assert section.lead == "All settings are those of the recipe moco_v2."


def test_settings_that_cannot_be_read_are_shown(tmp_path):
    run = make_run(tmp_path / "run")
    (run / "config.yaml").write_text(f"a: {EVIL}\n")
    page = page_of(configuration_section(read_run(run)))
    assert ("code", f"a: {EVIL}") in page.texts and len(page.all("p", class_="warning")) == 1


def test_the_environment(tmp_path):
    run = make_run(tmp_path / "run")
    page = page_of(environment_section(read_run(run)))
    assert ("dd", "2.15.0") in page.texts and "ray" not in page.text
    (run / "environment.json").unlink()
    assert environment_section(read_run(run)) is None


def video(key, reason=""):
    route = "refused" if reason else "pyav"
    return VideoInfo(root="/v", key=key, num_bytes=1, mtime_ns=1, route=route, reason=reason)


def test_refused_files_with_their_reasons(tmp_path):
    run = make_run(tmp_path / "run")
    assert refused_section(read_run(run)) is None
    rows = [video("good.mp4"), video(f"{EVIL.replace('/', '_')}.mp4", "no picture")]
    rows += [video(f"{n:03d}.mp4", "truncated") for n in range(250)]
    Catalog.from_rows(rows).save(run / "catalog.parquet")
    entry = {"row": 3, "key": EVIL, "step": 7, "position": 1, "reason": "killed by SIGSEGV"}
    (run / "quarantine-1.jsonl").write_text(json.dumps(entry) + "\nrubbish\n")
    page = page_of(refused_section(read_run(run)))
    assert "251 of 252 videos are not read." in page.text
    cells = [text for element, text in page.texts if element == "td"]
    assert cells[:4] == ["truncated", "250", "no picture", "1"]
    assert "and 51 more, in catalog.parquet" in page.text
    assert cells[-5:-2] == [EVIL, "killed by SIGSEGV", "7"]
    assert cells[-2:] == ["rubbish", "a damaged line of quarantine-1.jsonl"]


def test_nothing_refused_is_said_and_a_damaged_catalog_too(tmp_path):
    run = make_run(tmp_path / "run")
    Catalog.from_rows([video("a.mp4")]).save(run / "catalog.parquet")
    assert "All 1 videos could be read." in page_of(refused_section(read_run(run))).text
    (run / "catalog.parquet").write_text("rubbish")
    assert "cannot be read as a catalog" in page_of(refused_section(read_run(run))).text


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.4, "0 s"), (59, "59 s"), (150, "2 min 30 s"), (3700, "1 h 1 min"), (90_000, "1 d 1 h")],
)
def test_times_in_words(seconds, expected):
    assert duration(seconds) == expected
