import dataclasses
import re
import shutil

import numpy as np
import pytest
import torch
from painted_videos import read_index, write_video, write_videos
from PIL import Image
from rich.console import Console

from vidmoco.cli.main import main
from vidmoco.config.commands import PreviewCommand
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.config.recipe import load_recipe
from vidmoco.data.source import open_source
from vidmoco.train import pretrain as pretrain_module
from vidmoco.video.open_catalog import open_catalog
from vidmoco.visualize import preview as preview_module
from vidmoco.visualize.preview import sample_pairs

TINY = [
    "--recipe", "tiny_cpu", "--data.batch-size", "4", "--method.bn-splits", "1",
    "--augment.size", "32", "--data.short-side", "48", "--data.workers", "0",
]  # fmt: skip


@pytest.fixture(scope="module")
def scanned(video_folder, tmp_path_factory):
    """A cache that has seen the videos."""
    folder = tmp_path_factory.mktemp("scanned") / "cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDMOCO_CACHE", str(folder))
        assert main(["scan", str(video_folder)]) == 0
    return folder


@pytest.fixture(autouse=True)
def somewhere(scanned, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(scanned, tmp_path / "cache")


@pytest.fixture
def sheets(monkeypatch):
    """What the sheets were drawn of."""
    drawn = []
    draw = preview_module.draw_sheet
    monkeypatch.setattr(
        preview_module, "draw_sheet", lambda *args: drawn.append(args) or draw(*args)
    )
    return drawn


def preview(videos, *words):
    try:
        return main(["preview", str(videos), *TINY, *words])
    except SystemExit as exit:  # a flag out of range
        return exit.code


def test_it_shows_what_the_first_step_of_a_training_takes(
    video_folder, tmp_path, monkeypatch, sheets, capsys
):
    taken = []
    augmented = pretrain_module.augmented_views

    def noted(batch, *args):
        views = augmented(batch, *args)
        taken.append((batch, views))
        return views

    monkeypatch.setattr(pretrain_module, "augmented_views", noted)
    words = [*TINY, "--backbone.name", "resnet10t", "--method.queue-size", "16"]
    words += ["--optim.warmup-epochs", "0", "--steps", "1", "--run", "run", "--seed", "3"]
    assert main(["pretrain", str(video_folder), *words]) == 0
    assert preview(video_folder, "--seed", "3", "--pairs", "3", "-o", "deep/sheet.png") == 0
    ((sample, _),) = sheets
    ((batch, views),) = taken
    catalog = open_catalog([video_folder])
    assert len(sample.pairs) == 3
    for n, pair in enumerate(sample.pairs):
        assert pair.key == catalog[int(batch.source_ids[n])].key
        assert list(pair.pts_seconds) == batch.pts_seconds[n].tolist()
        assert torch.equal(pair.frames, batch.frames[n])
        assert torch.equal(pair.views, torch.stack([view[n] for view in views]))
    with Image.open("deep/sheet.png") as image:
        assert image.format == "PNG"
        assert image.width > 700
    assert "deep/sheet.png: 3 pairs" in capsys.readouterr().out


def test_frames_and_times_belong_together(video_folder, sheets):
    assert preview(video_folder, "--pairs", "6") == 0
    ((sample, _),) = sheets
    assert len(sample.pairs) == 6
    catalog = {info.key: info for info in open_catalog([video_folder]).rows()}
    for pair in sample.pairs:
        first = 200 * int(next(c for c in pair.key if c.isdigit()))
        for frame, seconds in zip(pair.frames, pair.pts_seconds, strict=True):
            index = read_index(frame.permute(1, 2, 0).numpy()) - first
            assert index == round(seconds * catalog[pair.key].frame_rate)


def test_gaps_are_those_of_the_rule(video_folder, sheets, capsys):
    assert preview(video_folder, "--data.min-gap", "100", "--data.max-gap", "100") == 2
    assert "--data.min-gap is 100 s, and the longest" in capsys.readouterr().err
    assert preview(video_folder, "--data.min-gap", "0.5", "--data.max-gap", "1.0") == 0
    ((sample, _),) = sheets
    assert len(sample.asked_gaps) >= 2000
    assert len(sample.achieved_gaps) >= 256
    assert sample.asked_gaps.min() >= 0.5
    assert sample.asked_gaps.max() <= 1.0
    assert (abs(sample.achieved_gaps - 0.75) < 0.25 + 0.1001).all()  # a frame lasts 0.1 s
    assert "the same frame twice: 0.0%" in capsys.readouterr().out


def test_the_control_shows_the_same_frame_twice(video_folder, sheets, capsys):
    assert preview(video_folder, "--data.single-frame") == 0
    ((sample, _),) = sheets
    assert not sample.achieved_gaps.any()
    assert not sample.asked_gaps.any()
    for pair in sample.pairs:
        assert torch.equal(pair.frames[0], pair.frames[1])
        assert not torch.equal(pair.views[0], pair.views[1])
    assert "the same frame twice: 100.0%" in capsys.readouterr().out


def test_small_crops_are_left_out_of_the_picture(video_folder, sheets):
    small = ["--augment.small-crops", "3", "--augment.small-size", "16"]
    assert preview(video_folder, *small, "--pairs", "2") == 0
    ((sample, _),) = sheets
    assert [tuple(pair.views.shape) for pair in sample.pairs] == [(2, 3, 32, 32)] * 2


def test_a_batch_larger_than_the_collection_is_that_of_pretrain(video_folder, capsys):
    assert main(["preview", str(video_folder), *TINY[:2], *TINY[6:]]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert re.search(r"6 videos, \d+ segments?, batches of 128", out)


def test_a_list_of_videos(video_folder, tmp_path, capsys):
    (tmp_path / "list.txt").write_text(f"{video_folder}\n")
    assert main(["preview", f"@{tmp_path}/list.txt", *TINY[:2], *TINY[6:]]) == 0
    assert "6 videos" in " ".join(capsys.readouterr().out.split())


def test_what_cannot_be_read_is_listed(tmp_path, capsys):
    for number in range(5):
        write_video(tmp_path / "v" / f"{number}.mp4", num_frames=12)
    (tmp_path / "v" / "text.mp4").write_text("no video")
    config = load_recipe("tiny_cpu")
    assert isinstance(config, PretrainConfig)
    config = dataclasses.replace(config, videos=(tmp_path / "v",))
    source = open_source(config, resume=None, console=Console(stderr=True))
    (tmp_path / "v" / "3.mp4").unlink()  # after the scan
    sample = sample_pairs(source, config, num_pairs=4)
    assert set(sample.failures) == {3}
    assert preview(tmp_path / "v", "--pairs", "2") == 0
    assert "text.mp4: it is a text file" in " ".join(capsys.readouterr().err.split())


def test_workers_show_the_same(video_folder, sheets):
    for workers in ("0", "1"):
        assert preview(video_folder, "--data.workers", workers, "--pairs", "2") == 0
    (here, _), (there, _) = sheets
    for a, b in zip(here.pairs, there.pairs, strict=True):
        assert a.key == b.key
        assert torch.equal(a.views, b.views)
    np.testing.assert_array_equal(here.achieved_gaps, there.achieved_gaps)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["-o", "sheet.jpg"], "must end in .png"),
        (["-o", "notes.png"], "not a PNG file"),
        (["-o", "folder.png"], "cannot be used"),
        (["--pairs", "0"], "--pairs is 0"),
        (["--recipe", "tiny_gpu"], "tiny_cpu"),
        (["--data.min-gap", "-1"], "--data.min-gap"),
        (["--max-pixels", "10"], "None of these videos can be read"),
    ],
)
def test_mistakes_are_one_clear_line(video_folder, tmp_path, capsys, words, expected):
    (tmp_path / "notes.png").write_text("my notes")
    (tmp_path / "folder.png").mkdir()
    assert preview(video_folder, *words) == 2
    error = capsys.readouterr().err
    assert expected in " ".join(error.split())
    assert "Traceback" not in error
    assert (tmp_path / "notes.png").read_text() == "my notes"


def test_no_videos(capsys):
    assert main(["preview"]) == 2
    assert "No videos given" in capsys.readouterr().err
    assert main(["preview", "gone/"]) == 2
    assert "No such file or folder" in capsys.readouterr().err


def test_the_defaults_are_those_of_pretrain():
    assert PreviewCommand().config == PretrainConfig()


def test_it_says_what_the_second_frame_adds(video_folder, capsys):
    assert preview(video_folder, "--data.max-gap", "0.05") == 0
    out = capsys.readouterr().out
    assert "Change: time changes a picture" in out
    assert "of these pairs the second frame is nearly the first" in out
    assert preview(video_folder, "--data.single-frame") == 0
    assert "Change:" not in capsys.readouterr().out


def test_one_video_promises_nothing(tmp_path, capsys):
    write_videos(tmp_path / "v", 1)
    assert preview(tmp_path / "v", "--data.segments", "whole") == 0
    out = capsys.readouterr().out
    assert "There is only one video, segment or image" in out and "nothing can be learnt" in out
    assert "Change: time changes a picture" in out and "expect" not in out
