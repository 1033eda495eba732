import numpy as np
import pytest
import torch
from shot_videos import write_scenes
from wide_videos import info_of

from vidmoco.backbones.frozen import load_frozen
from vidmoco.config.frame_selection import EVERY_FRAME, FrameSelection
from vidmoco.errors import VideoError
from vidmoco.features import stream
from vidmoco.features.stream import stream_features


@pytest.fixture(scope="module")
def frozen():
    torch.set_num_threads(1)
    return load_frozen("random:resnet18", size=32)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_scenes(tmp_path_factory.mktemp("scenes") / "a.mp4", 0, 1, 2)  # cuts at 2 and 4 s


def features_of(frozen, video, selection=EVERY_FRAME, **options):
    ((found),) = (
        (*features.read(), features.ends)
        for features in stream_features(frozen, [(video, selection)], batch_size=7, **options)
    )
    return found


def test_features_come_without_files(frozen, video):
    features, times, ends = features_of(frozen, video)
    assert (features.shape, features.dtype, ends) == ((60, 512), np.float32, [])
    np.testing.assert_allclose(times, np.arange(60) / 10)


@pytest.mark.parametrize("pool", ["mean", "max"])
def test_a_pool_of_a_video_or_of_each_shot(frozen, video, pool):
    rows, _, _ = features_of(frozen, video)
    reduced = getattr(np, pool)
    pooled, begins, ends = features_of(frozen, video, pool=pool)
    np.testing.assert_allclose(pooled, reduced(rows, axis=0, keepdims=True), rtol=1e-5, atol=1e-6)
    assert (begins.tolist(), ends) == ([0.0], [6.0])

    selection = FrameSelection(scenes="all", start=1.05, end=5.0, every=2)
    pooled, begins, ends = features_of(frozen, video, selection, pool=pool)
    shots = [range(10, 20, 2), range(20, 40, 2), range(40, 50, 2)]
    expected = np.stack([reduced(rows[list(shot)], axis=0) for shot in shots])
    np.testing.assert_allclose(pooled, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(begins, [1.05, 2.0, 4.0])
    np.testing.assert_allclose(ends, [2.0, 4.0, 5.0])


def test_a_shot_without_a_frame_has_no_row(frozen, video):
    selection = FrameSelection(scenes="all", fps=0.2)  # at 0 and 5 s
    _, begins, ends = features_of(frozen, video, selection, pool="mean")
    assert (begins.tolist(), ends) == ([0.0, 4.0], [2.0, 6.0])


def test_unit_length_comes_after_the_pool(frozen, video):
    rows, _, _ = features_of(frozen, video, normalize=True)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-6)
    plain, _, _ = features_of(frozen, video, pool="mean")
    unit, _, _ = features_of(frozen, video, pool="mean", normalize=True)
    np.testing.assert_allclose(unit, plain / np.linalg.norm(plain), rtol=1e-6)


def test_each_video_has_its_selection_and_a_bad_one_costs_itself(frozen, tmp_path):
    videos = [info_of(tmp_path / f"{n}.mp4", num_frames=20) for n in range(3)]
    videos[1].path.write_text("this is no video any more")
    selections = [FrameSelection(num_frames=3), EVERY_FRAME, FrameSelection(times=(1.5, 0.5))]
    found = []
    for features in stream_features(frozen, zip(videos, selections, strict=True), workers=2):
        if features.video is videos[1]:
            with pytest.raises(VideoError, match=r"1\.mp4: the file has changed since it was"):
                features.read()
        else:
            found.append(features.read()[1].tolist())
    np.testing.assert_allclose(found[0], [0.3, 1.0, 1.6])
    np.testing.assert_allclose(found[1], [0.5, 1.5])


def test_a_pool_is_of_its_own_video(frozen, tmp_path):
    """The selections of later videos are asked for before a video is used."""
    videos = [info_of(tmp_path / f"{n}.mp4", num_frames=20) for n in range(4)]
    selections = [FrameSelection(start=n / 4, end=n / 4 + 0.2) for n in range(4)]
    stream = stream_features(frozen, zip(videos, selections, strict=True), pool="max", workers=2)
    found = [(*features.read()[1], *features.ends) for features in stream]
    np.testing.assert_allclose(found, [(n / 4, n / 4 + 0.2) for n in range(4)])


def test_processes_that_decode_share_the_cores(monkeypatch):
    """With those of the other processes that torchrun has started here."""
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    monkeypatch.setattr(stream, "num_cores", lambda: 16)
    assert stream._num_workers() == 4
    for processes, workers in ((2, 4), (4, 2), (8, 1), (64, 1)):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
        assert stream._num_workers() == workers
