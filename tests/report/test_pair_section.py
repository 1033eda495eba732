import base64
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from markupsafe import Markup
from painted_videos import read_index, write_video
from PIL import Image
from report_material import Page, make_run
from rich.console import Console

from vidmoco.config.recipe import load_recipe
from vidmoco.errors import ConfigError
from vidmoco.report import pair_section as module
from vidmoco.report.pair_section import pair_section, read_sample
from vidmoco.report.run_facts import read_run
from vidmoco.video.open_catalog import open_catalog
from vidmoco.visualize import preview as preview_module

QUIET = Console(quiet=True)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of three videos; reading is kept short."""
    monkeypatch.setattr(preview_module, "NUM_READ", 6)
    videos = tmp_path / "videos"
    for n in range(3):
        write_video(videos / f"<{n}>.mp4", first_index=100 * n + 100, num_frames=12)
    config = load_recipe("tiny_cpu")
    config = replace(
        config,
        videos=(videos,),
        data=replace(config.data, batch_size=3, workers=0, short_side=48),
        augment=replace(config.augment, size=32),
    )
    run = make_run(tmp_path / "run", config)
    open_catalog([videos], workers=0, progress=False).save(run / "catalog.parquet")
    return run


def page_of(run, num_pairs=4):
    section = pair_section(read_run(run), num_pairs=num_pairs, console=QUIET)
    return Page(Markup().join(section.parts))


def test_pairs_are_those_of_the_run_and_in_the_page(run):
    before = sorted(run.iterdir())
    config = read_run(run).config
    sample = read_sample(run, config, num_pairs=4, console=QUIET)
    page = page_of(run)
    pictures = page.all("img")
    assert len(pictures) == 16 and len(page.all("div", class_="pair")) == 4
    names = [text for element, text in page.texts if element == "b"]
    assert names == [pair.key for pair in sample.pairs] and names[0].startswith("<")
    for pair, four in zip(sample.pairs, zip(*[iter(pictures)] * 4, strict=True), strict=True):
        first = four[0]["src"].partition("base64,")[2]
        with Image.open(io.BytesIO(base64.b64decode(first))) as image:
            index = read_index(np.asarray(image.convert("RGB")))
        assert index == read_index(pair.frames[0].permute(1, 2, 0).numpy())
        assert [p["alt"] for p in four[2:]] == ["query view", "key view"]
        assert four[2]["width"] == four[2]["height"] == "32"
    assert "Gap achieved, 6 pairs" in page.text
    assert sorted(run.iterdir()) == before


def test_videos_that_killed_a_process_are_skipped_again(run, capsys):
    config = read_run(run).config
    key = read_sample(run, config, num_pairs=1, console=QUIET).pairs[0].key
    row = [info.key for info in open_catalog([run.parent / "videos"], workers=0).rows()].index(key)
    text = f'{{"row": {row}, "key": "x", "step": 0, "position": 0, "reason": "died"}}\n'
    (run / "quarantine.jsonl").write_text(text)
    sample = read_sample(run, config, num_pairs=3, console=QUIET)
    assert key not in [pair.key for pair in sample.pairs] and sample.failures == {row: "died"}
    assert (run / "quarantine.jsonl").read_text() == text
    assert "1 video could not be read now." in page_of(run).text
    pair_section(read_run(run), num_pairs=3, console=Console(stderr=True))
    told = capsys.readouterr().err
    assert (
        f"1 video could not be read for the pairs, and others are shown. The first: {key!r}" in told
    )


def test_what_dies_now_is_not_noted_in_the_run(run, monkeypatch):
    notes = []

    def opened(*args, quarantine, **more):
        notes.append(quarantine)
        raise ConfigError("enough")

    monkeypatch.setattr(module, "open_source", opened)
    assert "No pairs are shown: enough" in page_of(run).text
    assert notes[0].name == "quarantine.jsonl" and run not in notes[0].parents


def test_what_is_gone_is_said(run, capsys):
    for video in (run.parent / "videos").iterdir():
        video.write_bytes(b"")
    assert "No pairs are shown: " in page_of(run).text
    (run.parent / "videos").rename(run.parent / "elsewhere")
    assert f"{run.parent / 'videos'} is missing" in page_of(run).text
    pair_section(read_run(run), num_pairs=4, console=Console(stderr=True))
    told = capsys.readouterr().err
    assert f"No pairs are shown: the videos no longer exist: {run.parent / 'videos'}" in told
    assert "is missing (1 of 1 path). Put them back, or give --pairs 0." in told


def test_no_pairs_are_asked_for(run):
    facts = read_run(run)
    assert pair_section(facts, num_pairs=0, console=QUIET) is None
    unreadable = replace(facts, config=None)
    assert pair_section(unreadable, num_pairs=4, console=QUIET) is None
    gone = replace(facts, config=replace(facts.config, videos=(Path("/gone"),)))
    assert pair_section(gone, num_pairs=4, console=QUIET).title == "Sampled pairs"
