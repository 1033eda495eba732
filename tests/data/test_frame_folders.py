"""Folders of numbered images, whose pixels spell their number, as videos."""

import dataclasses
import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from painted_videos import paint, read_index, write_video
from PIL import Image
from rich.console import Console

import vidmoco
from vidmoco.cli.main import main
from vidmoco.config.data import DataConfig
from vidmoco.config.recipe import load_recipe
from vidmoco.data.frame_folders import FrameFolders, open_images
from vidmoco.data.source import open_source
from vidmoco.errors import ConfigError


def write_frames(folder, numbers, *, first=0, pattern="{}.png"):
    """Write pictures that spell ``first`` more than their number."""
    folder.mkdir(parents=True)
    for number in numbers:
        Image.fromarray(paint(first + number)).save(folder / pattern.format(number))


@pytest.fixture
def folders(tmp_path):
    write_frames(tmp_path / "seq" / "a", range(1, 13))  # 10.png comes after 9.png
    write_frames(tmp_path / "seq" / "deep" / "b", range(20), first=100, pattern="f_{:05d}.png")
    return tmp_path / "seq"


def shown(videos, video):
    first, end = videos.firsts[video], videos.firsts[video + 1]
    return [read_index(videos.read(n).permute(1, 2, 0).numpy()) for n in range(first, end)]


def test_each_folder_is_a_video_in_the_order_of_its_numbers(folders):
    videos, notes = open_images([folders], frame_rate=4.0)
    assert isinstance(videos, FrameFolders) and not notes
    assert videos.names == ["a", "deep/b"]
    names = [path.relative_to(folders).as_posix() for path in videos.images.sources]
    assert videos.images.names == names
    assert shown(videos, 0) == list(range(1, 13))
    assert shown(videos, 1) == list(range(100, 120))
    assert videos.durations.tolist() == [3.0, 5.0]
    np.testing.assert_array_equal(videos.pts_seconds[12:], np.arange(20) / 4)
    assert [videos.frame_at(1, t) - 12 for t in (0.0, 0.24, 0.25, 4.99, 9.0)] == [0, 0, 1, 19, 19]


def test_large_frames_are_decoded_smaller(tmp_path):
    (tmp_path / "seq").mkdir()
    Image.fromarray(paint(1, size=(384, 256))).save(tmp_path / "seq" / "1.jpg")
    videos, _ = open_images([tmp_path / "seq"], frame_rate=4.0)
    assert videos.read(0).shape == (3, 256, 384)
    assert videos.with_least_side(50).read(0).shape == (3, 64, 96)


def test_folders_that_are_given_by_name(folders):
    given = [folders / "deep" / "b", folders / "a", folders]
    videos, _ = open_images(given, frame_rate=25.0)
    assert sorted(videos.names) == ["a", "deep/b"]  # each once
    assert open_images([folders / "a"], frame_rate=25.0)[0].names == ["a"]


def test_pairs_are_two_frames_of_one_folder(folders):
    pairs = vidmoco.FramePairs(
        folders, batch_size=2, workers=0, min_gap=1.0, max_gap=1.5, segments="whole", frame_rate=4.0
    )
    batch = next(iter(pairs))
    pairs.close()
    for row, (source, times) in enumerate(
        zip(batch["source_ids"].tolist(), batch["pts_seconds"].tolist(), strict=True)
    ):
        gap = abs(times[1] - times[0])
        assert 0.75 <= gap <= 1.75
        numbers = [read_index(frame.permute(1, 2, 0).numpy()) for frame in batch["frames"][row]]
        first = 1 if source == 0 else 100
        assert numbers == [first + round(4 * t) for t in times]


def test_a_training_and_its_resume(folders, tmp_path, capsys):
    words = ["pretrain", str(folders), "--recipe", "tiny_cpu", "--run", str(tmp_path / "run")]
    words += ["--steps", "2", "--batch-size", "2", "--data.workers", "0"]
    assert main([*words, "--data.frame-rate", "4"]) == 0
    assert "2 videos, 8" in capsys.readouterr().err
    again = ["pretrain", "--run", str(tmp_path / "run"), "--resume", "--steps"]
    assert main([*again, "3"]) == 0
    assert "steps   2 to 3" in capsys.readouterr().err
    (folders / "a" / "3.png").rename(folders / "a" / "30.png")
    assert main([*again, "4"]) == 2
    assert "are not those that" in capsys.readouterr().err


def test_hard_cuts_are_found_in_frames_too(tmp_path):
    for number in range(40):
        colour = (250, 20, 20) if number < 20 else (10, 10, 200)
        (tmp_path / "seq").mkdir(exist_ok=True)
        Image.new("RGB", (96, 64), colour).save(tmp_path / "seq" / f"{number}.png")
    data = DataConfig(frame_rate=4.0, segments="shots")
    config = dataclasses.replace(load_recipe("tiny_cpu"), videos=(tmp_path / "seq",), data=data)
    source = open_source(config, resume=None, console=Console(quiet=True))
    assert 5.0 in source.sources.starts


def test_numbered_images_without_a_rate_are_told(folders):
    images, notes = open_images([folders], frame_rate=None)
    assert len(images.names) == 32
    assert notes == [
        "The images of 'a', 'deep/b' are numbered. If they are the frames of videos, give their "
        "rate, and pairs are made of them: --data.frame-rate 25"
    ]


@pytest.mark.parametrize(
    "names",
    [
        ["x1", "y", *"abcdefgh"],
        [str(n * n) for n in range(9)],
        "123",
        [f"{side}{n}" for side in ("left", "right") for n in range(9)],
    ],
)
def test_other_images_are_not(tmp_path, names):
    for name in names:
        Image.fromarray(paint(1)).save(tmp_path / f"{name}.png")
    assert open_images([tmp_path], frame_rate=None)[1] == []


def test_what_a_rate_is_not_for(tmp_path):
    with pytest.raises(ConfigError, match=r"frame-rate is -1.*greater than 0 frames per second"):
        DataConfig(frame_rate=-1.0)
    (tmp_path / "none").mkdir()
    with pytest.raises(ConfigError, match=r"holds no images\. It is for folders of image files"):
        open_images([tmp_path / "none"], frame_rate=25.0)
    pixels = io.BytesIO()
    Image.fromarray(paint(1)).save(pixels, "PNG")
    pq.write_table(pa.table({"image": [pixels.getvalue()]}), tmp_path / "a.parquet")
    with pytest.raises(ConfigError, match=r"holds images in Parquet files\. It is for folders"):
        open_images([tmp_path / "a.parquet"], frame_rate=25.0)
    write_video(tmp_path / "v" / "a.mp4", num_frames=3)
    config = dataclasses.replace(
        load_recipe("tiny_cpu"), videos=(tmp_path / "v",), data=DataConfig(frame_rate=25.0)
    )
    with pytest.raises(ConfigError, match="videos and prepared frames have their own times"):
        open_source(config, resume=None, console=Console(quiet=True))
