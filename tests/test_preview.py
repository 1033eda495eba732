import shutil

import numpy as np
import pytest
import torch
from painted_videos import read_index, write_video
from PIL import Image

from vidmoco import pretrain as pretrain_module
from vidmoco import preview as preview_module
from vidmoco.cli import _parse, main
from vidmoco.config import PreviewCommand
from vidmoco.preview import Pair, Sample, count_gaps, describe_gaps, draw_sheet, round_step
from vidmoco.video.catalog import open_catalog
from vidmoco.video.loader import canvas_size, load_pairs
from vidmoco.video.sampling import PairRule

TINY = [
    "--recipe", "tiny_cpu", "--backbone.name", "resnet10t", "--data.batch-size", "4",
    "--augment.size", "32", "--data.short-side", "32", "--data.workers", "0",
]  # fmt: skip


@pytest.fixture(autouse=True)
def somewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIDMOCO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(preview_module, "NUM_READ", 24)


@pytest.fixture
def drawn(monkeypatch):
    """The samples that were drawn."""
    samples = []

    def keep(sample, lines):
        samples.append(sample)
        return draw_sheet(sample, lines)

    monkeypatch.setattr(preview_module, "draw_sheet", keep)
    return samples


def test_pairs_and_views_are_those_of_the_training(video_folder, drawn, monkeypatch):
    assert main(["preview", str(video_folder), *TINY, "--pairs", "6", "--seed", "3"]) == 0
    trained = []
    make_views = pretrain_module._augmented_views

    def keep(batch, *rest):
        trained.append((batch, make_views(batch, *rest)))
        return trained[-1][1]

    monkeypatch.setattr(pretrain_module, "_augmented_views", keep)
    words = [*TINY, "--seed", "3", "--method.queue-size", "8", "--steps", "2", "--run", "run"]
    assert main(["pretrain", str(video_folder), *words]) == 0
    places = [(step, n) for step in range(2) for n in range(4)][:6]
    assert len(drawn[0].pairs) == 6
    for pair, (step, n) in zip(drawn[0].pairs, places, strict=True):
        batch, views = trained[step]
        assert torch.equal(pair.frames, batch.frames[n])
        assert pair.pts_seconds == tuple(batch.pts_seconds[n].tolist())
        assert torch.equal(pair.views, torch.stack([view[n] for view in views]))


def test_gaps_are_those_of_the_pairs_read(video_folder, drawn):
    words = ["--data.workers", "1", "--data.max-gap", "0.5", "--pairs", "2"]
    assert main(["preview", str(video_folder), *TINY, *words]) == 0
    catalog = open_catalog([video_folder], progress=False)
    batches = load_pairs(
        catalog, rule=PairRule(max_gap=0.5), seed=0, batch_size=4,
        canvas=canvas_size(catalog, short_side=32), start_step=0, total_steps=6, workers=0,
    )  # fmt: skip
    times = torch.cat([batch.pts_seconds for batch in batches])
    (sample,) = drawn
    assert np.array_equal(sample.achieved_gaps, (times[:, 0] - times[:, 1]).abs().numpy())
    assert [pair.pts_seconds for pair in sample.pairs] == [tuple(t) for t in times[:2].tolist()]
    assert len(sample.asked_gaps) == 2000
    assert 0.45 < sample.asked_gaps.max() <= 0.5
    # Frames are at most a fifteenth to a tenth of a second from the times drawn.
    assert np.abs(sample.achieved_gaps - sample.asked_gaps[:24]).max() <= 0.1 + 1e-9


def test_a_pair_of_two_frames_has_known_gaps(tmp_path, drawn, capsys):
    (tmp_path / "videos").mkdir()
    for number in range(4):  # shown at 0 and 1 s
        write_video(tmp_path / "videos" / f"{number}.mp4", num_frames=2, fps=1)
    assert main(["preview", "videos", *TINY]) == 0
    (sample,) = drawn
    assert set(sample.achieved_gaps.tolist()) == {0.0, 1.0}
    same = np.mean(sample.achieved_gaps == 0)
    counts = count_gaps(sample.achieved_gaps, width=0.1, num_bars=20)
    assert (counts[0], counts[10], counts.sum()) == (round(24 * same), 24 - counts[0], 24)
    assert f"max 1.000 s; the same frame twice: {same:.1%}" in capsys.readouterr().out
    for pair in sample.pairs:
        indices = [read_index(frame.permute(1, 2, 0).numpy()) for frame in pair.frames]
        assert indices == list(pair.pts_seconds)


def test_the_single_frame_control_is_one_frame_twice(video_folder, drawn, capsys):
    assert main(["preview", str(video_folder), *TINY, "--data.single-frame"]) == 0
    assert "the same frame twice: 100.0%" in capsys.readouterr().out
    for pair in drawn[0].pairs:
        assert torch.equal(pair.frames[0], pair.frames[1])
        assert not torch.equal(pair.views[0], pair.views[1])
    assert not drawn[0].asked_gaps.any()


def test_gaps_are_counted_in_their_bars():
    gaps = np.array([0.0, 0.3 - 0.1, 0.3, 0.29, 0.5, 9.0])  # 0.3 - 0.1 < 0.2
    assert count_gaps(gaps, width=0.1, num_bars=5).tolist() == [1, 0, 2, 1, 2]
    assert count_gaps(np.zeros(3), width=1.0, num_bars=1).tolist() == [3]


@pytest.mark.parametrize(
    ("end", "most", "step"),
    [(1.5, 30, 0.05), (1.5, 20, 0.1), (0, 20, 1), (20, 20, 1), (20.1, 20, 2), (0.004, 4, 0.001)],
)
def test_a_round_step_reaches_the_end(end, most, step):
    assert round_step(end, most=most) == pytest.approx(step)


def test_unreadable_videos_are_listed(video_folder, tmp_path, capsys):
    folder = tmp_path / "videos"
    shutil.copytree(video_folder, folder)
    (folder / "empty.mp4").write_bytes(b"")
    assert main(["scan", str(folder), "-o", "catalog.parquet"]) == 0
    with (folder / "video1.mp4").open("ab") as file:
        file.write(b"more")
    assert main(["preview", "catalog.parquet", *TINY]) == 0
    printed = capsys.readouterr()
    assert "empty.mp4" in printed.err
    assert "Could not be read, and were replaced by others: 1" in printed.out
    assert "'video1.mp4': " in printed.out
    assert "has changed since the scan" in printed.out


def test_a_batch_is_cut_to_the_number_of_videos(video_folder, capsys):
    video = video_folder / "video1.mp4"
    words = ["--data.batch-size", "8", "--pairs", "1", "-o", "deep/er/one.png"]
    assert main(["preview", str(video), *TINY, *words]) == 0
    printed = capsys.readouterr().out
    assert "1 videos, batches of 1\n" in printed
    assert "--data.batch-size 1 or less instead of 8" in printed
    with Image.open("deep/er/one.png") as image:
        image.load()
    assert not list((video.parent).glob("*.part"))


@pytest.mark.parametrize(
    ("size", "aspect", "width", "tile"),
    [
        (64, 16 / 9, 2 * (228 + 128) + 36, 128),
        (64, 9 / 16, 760, 128),
        (224, 16 / 9, 2 * (398 + 224) + 36, 224),
        (300, 20.0, 2 * (512 + 256) + 36, 256),
    ],
)
def test_the_size_of_the_picture(size, aspect, width, tile):
    pair = Pair(
        "folder/" * 80 + "\x1b[31m名 \n.mp4", aspect, (1.0, 2.5),
        torch.zeros(2, 3, 36, 64, dtype=torch.uint8), torch.zeros(2, 3, size, size),
    )  # fmt: skip
    sample = Sample([pair, pair], np.array([0.5, 1.5]), np.array([1.5]), {})
    sheet = draw_sheet(sample, ["one line"])
    assert sheet.size == (width + 48, 24 + 20 * 5 + 2 * (tile + 60) + 10 + 170 + 100 + 24)
    pixels = np.asarray(sheet)
    assert (pixels[:, :23] == 255).all()  # nothing runs into the margins
    assert (pixels[:, -10:] == 255).all()
    assert (pixels[-10:] == 255).all()
    assert describe_gaps(sample)[0].endswith("min 0.500, median 1.000, max 1.500 s")


def test_what_is_no_png_is_not_replaced(video_folder, tmp_path, capsys):
    (tmp_path / "notes.png").write_text("not a picture")
    (tmp_path / "folder.png").mkdir()
    for name in ("notes.png", "folder.png"):
        assert main(["preview", str(video_folder), *TINY, "-o", name]) == 2
        assert f"--output is '{name}'" in capsys.readouterr().err
    assert (tmp_path / "notes.png").read_text() == "not a picture"
    for _ in range(2):  # an earlier preview is replaced
        assert main(["preview", str(video_folder), *TINY]) == 0
    assert sorted(p.name for p in tmp_path.glob("*.p*")) == [
        "folder.png", "notes.png", "preview.png",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["nowhere", "-o", "a.jpg"], "it must end in .png"),
        ([], "vidmoco preview videos/"),
        (["nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_used_is_refused(words, part, capsys):
    assert main(["preview", *TINY, *words]) == 2
    assert part in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--pairs", "0"], ["--resume"]])
def test_wrong_flags_are_refused(words, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["preview", "videos", *words])
    assert exit_.value.code == 2
    assert words[0] in capsys.readouterr().err


def test_the_settings_are_those_of_pretrain():
    words = ["v", "--recipe", "moco_v1", "--data.max-gap", "2", "--seed", "5", "--max-frames", "9"]
    command = _parse("preview", words)
    assert isinstance(command, PreviewCommand)
    assert command.config == _parse("pretrain", words).config
    assert (command.recipe, command.config.augment.blur_probability) == ("moco_v1", 0)
