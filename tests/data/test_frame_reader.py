import os
import signal
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from painted_videos import read_index, write_video

from vidmoco.backbones.preprocess import Preprocess, resize_and_crop
from vidmoco.cli.main import main
from vidmoco.config.limits import DEFAULT_LIMITS
from vidmoco.data.frame_reader import read_moments, read_stored_moments
from vidmoco.data.sampling import Moment
from vidmoco.frames.prepared import open_prepared
from vidmoco.video import requests
from vidmoco.video.catalog import Catalog
from vidmoco.video.decode import read_frames
from vidmoco.video.scan import scan_videos

PREPROCESS = Preprocess(
    size=32, crop_pct=1.0, interpolation="bicubic", mean=(0, 0, 0), std=(1, 1, 1),
    crop_mode="squash",  # the whole picture, so that it can be read
)  # fmt: skip
# Not in the order of the catalog, nor of time; a time twice.
MOMENTS = [Moment(2, (1.5, 0.0)), Moment(0, (0.25, 0.25)), Moment(1, (0.0, 0.5))]
EXPECTED = [[215, 200], [2, 2], [100, 105]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("videos")
    for number in range(3):
        write_video(where / f"{number}.mp4", num_frames=20, first_index=100 * number)
    return where


@pytest.fixture(scope="module")
def catalog(folder):
    return scan_videos([folder], workers=1)


def indices(found):
    return [[read_index(image.transpose(1, 2, 0)) for image in one.images] for one in found]


def test_frames_of_videos_are_those_shown_at_the_times(catalog):
    found = read_moments(catalog, MOMENTS, preprocess=PREPROCESS, workers=0, limits=DEFAULT_LIMITS)
    assert indices(found) == EXPECTED
    assert [one.pts_seconds.tolist() for one in found] == [[1.5, 0.0], [0.2, 0.2], [0.0, 0.5]]


def test_frames_are_resized_as_an_extraction_resizes_them(catalog):
    wide = Preprocess(
        size=24, crop_pct=0.875, interpolation="bilinear", mean=(0, 0, 0), std=(1, 1, 1)
    )
    (still,) = read_moments(catalog, MOMENTS[:1], preprocess=wide, workers=0, limits=DEFAULT_LIMITS)
    frames = read_frames(catalog[2], MOMENTS[0].times)
    pictures = torch.from_numpy(frames.images).permute(0, 3, 1, 2)
    assert np.array_equal(still.images, resize_and_crop(pictures, wide).numpy())


def test_pixels_that_are_not_square_are_stretched_as_they_are_shown(tmp_path):
    write_video(tmp_path / "0.mp4", num_frames=4, sample_aspect_ratio=Fraction(2))
    catalog = scan_videos([tmp_path], workers=1)
    cropped = replace(PREPROCESS, crop_mode="center")
    moments = [Moment(0, (0.0, 0.2))]
    (still,) = read_moments(catalog, moments, preprocess=cropped, workers=0, limits=DEFAULT_LIMITS)
    pictures = torch.from_numpy(read_frames(catalog[0], [0.0, 0.2]).images).permute(0, 3, 1, 2)
    expected = resize_and_crop(pictures, cropped, aspect_ratio=96 * 2 / 64)
    assert np.array_equal(still.images, expected.numpy())
    words = ["prepare", str(tmp_path), "-o", str(tmp_path / "f"), "--fps", "None"]
    assert main([*words, "--workers", "1", "--quality", "100"]) == 0
    frames = open_prepared(tmp_path / "f")
    (prepared,) = read_stored_moments(frames, moments, preprocess=cropped, workers=1)
    assert np.abs(prepared.images.astype(int) - still.images).mean() < 3


def test_prepared_frames_are_those_shown_at_the_times(folder, tmp_path):
    words = ["prepare", str(folder), "-o", str(tmp_path / "f"), "--fps", "None", "--workers", "1"]
    assert main(words) == 0
    frames = open_prepared(tmp_path / "f")
    found = read_stored_moments(frames, MOMENTS, preprocess=PREPROCESS, workers=2)
    assert indices(found) == EXPECTED
    assert found[0].pts_seconds.tolist() == [1.5, 0.0]
    shard = tmp_path / "f" / "shards" / "000000.tar"
    data = bytearray(shard.read_bytes())
    offset = int(frames.columns["offset"][frames.frame_at(2, 1.5)])
    data[offset + 20] ^= 255
    shard.write_bytes(data)
    found = read_stored_moments(frames, MOMENTS, preprocess=PREPROCESS, workers=0)
    assert f"is damaged at byte {offset:,}" in found[0]
    assert indices(found[1:]) == EXPECTED[1:]


def build_crashing_reader(*args):
    read = BUILD_READER(*args)

    def read_or_die(job):
        if job.request.video.key.startswith("0"):
            os.kill(os.getpid(), signal.SIGSEGV)
        return read(job)

    return read_or_die


BUILD_READER = requests._build_reader


@pytest.mark.parametrize("workers", [0, 2])
def test_what_cannot_be_read_is_said_and_the_others_are_there(
    folder, catalog, workers, tmp_path, monkeypatch
):
    monkeypatch.setattr(requests, "_build_reader", build_crashing_reader)
    (tmp_path / "1.mp4").write_bytes((folder / "1.mp4").read_bytes())
    gone = scan_videos([tmp_path], workers=1)
    (tmp_path / "1.mp4").unlink()
    mixed = Catalog.from_rows([catalog[0], *gone.rows(), catalog[2]])
    rows = {mixed[n].key: n for n in range(3)}
    keys = ("1.mp4", "2.mp4", "0.mp4", "2.mp4")
    moments = [Moment(rows[key], (0.1 * n, 1.0)) for n, key in enumerate(keys)]
    found = read_moments(
        mixed, moments, preprocess=PREPROCESS, workers=workers, limits=DEFAULT_LIMITS
    )
    assert found[0].startswith("No such file or directory. Give the command again")
    assert indices(found[1::2]) == [[201, 210], [203, 210]]
    if workers:
        assert found[2] == "its decoder crashed (SIGSEGV)"
    else:  # this process is not put at risk here
        assert indices(found[2:3]) == [[2, 10]]
