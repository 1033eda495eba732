"""The files of the demo: which digits are in which, and that a seed decides every pixel."""

import os

import av
import numpy as np
import pytest
from PIL import Image

from vidmoco.demo import scene, videos
from vidmoco.errors import ConfigError


@pytest.fixture(scope="module")
def material():
    return scene.load_material()


@pytest.fixture
def shown(monkeypatch):
    """The instances that are rendered, in order."""
    instances = []
    render = videos.render

    def recording(material, *, instance, rng, times):
        instances.append(instance)
        return render(material, instance=instance, rng=rng, times=times)

    monkeypatch.setattr(videos, "render", recording)
    return instances


def read(path):
    with av.open(str(path)) as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


def test_the_seed_decides_every_pixel_whatever_the_threads(tmp_path, monkeypatch):
    first = videos.make_sample_videos(tmp_path / "a", num_videos=4, seed=3)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    again = videos.make_sample_videos(tmp_path / "b", num_videos=4, seed=3)
    other = videos.make_sample_videos(tmp_path / "c", num_videos=4, seed=4)
    for a, b, c in zip(first, again, other, strict=True):
        assert np.array_equal(read(a), read(b))
        assert not np.array_equal(read(a), read(c))
    assert not np.array_equal(read(first[0]), read(first[1]))


def test_more_videos_leave_the_earlier_ones_as_they_are(tmp_path):
    two = videos.make_sample_videos(tmp_path / "a", num_videos=2, seed=0)
    three = videos.make_sample_videos(tmp_path / "b", num_videos=3, seed=0)
    for a, b in zip(two, three, strict=False):
        assert np.array_equal(read(a), read(b))


def test_no_two_videos_share_a_scene(tmp_path, monkeypatch):
    draws = []

    def recording(material, *, instance, rng, times):
        draws.append(rng.random())
        return np.zeros((1, 64, 64, 3), np.uint8)

    monkeypatch.setattr(videos, "render", recording)
    for seed in (0, 1):
        videos.make_sample_videos(tmp_path / "videos", num_videos=3, seed=seed)
        videos.make_labelled_images(tmp_path / "i", per_class_train=2, per_class_val=2, seed=seed)
        videos.make_test_clip(tmp_path / "clip.mp4", seed=seed)
    assert len(set(draws)) == len(draws) == 2 * (3 + 40 + 1)


def test_a_video_is_short_h264_with_a_keyframe_every_eight_frames(tmp_path):
    steps = []
    paths = videos.make_sample_videos(tmp_path, num_videos=2, seed=0, progress=steps.append)
    assert [path.name for path in paths] == ["00000.mp4", "00001.mp4"]
    assert steps == [1, 1]
    with av.open(str(paths[0])) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        frames = list(container.decode(stream))
        seconds = [float(frame.pts * stream.time_base) for frame in frames]
    assert seconds == pytest.approx(np.arange(24) / 10)
    assert [i for i, frame in enumerate(frames) if frame.key_frame] == [0, 8, 16]
    assert {(frame.width, frame.height) for frame in frames} == {(64, 64)}


def test_what_is_written_is_what_was_drawn(material, tmp_path):
    rng = np.random.default_rng(0)
    drawn = scene.render(material, instance=5, rng=rng, times=videos._times(24))
    videos._write_video(tmp_path / "clip.mp4", drawn)
    difference = read(tmp_path / "clip.mp4").astype(int) - drawn
    # 4:2:0 chroma and crf 20: 2.5 levels measured; swapped red and blue give 16.
    assert np.abs(difference).mean() < 5


def test_videos_show_training_instances_only_and_each_once_before_any_twice(
    shown, material, tmp_path, monkeypatch
):
    monkeypatch.setattr(videos, "_write_video", lambda path, frames: None)
    monkeypatch.setattr(videos, "_times", lambda num_frames: np.zeros(1))
    num_train = len(material.labels) - scene.NUM_HELD_OUT
    videos.make_sample_videos(tmp_path, num_videos=num_train + 10, seed=1)
    assert set(shown) == set(range(num_train))
    assert np.bincount(shown).max() == 2


def test_labelled_images_show_their_digit_and_val_only_held_out_instances(
    shown, material, tmp_path
):
    videos.make_labelled_images(tmp_path, per_class_train=3, per_class_val=2, seed=0)
    labels = material.labels[shown]
    assert labels.tolist() == np.repeat(range(10), 3).tolist() + np.repeat(range(10), 2).tolist()
    assert max(shown[:30]) < len(material.labels) - scene.NUM_HELD_OUT <= min(shown[30:])
    assert len(set(shown)) == 50
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/*/*")}
    assert files == {f"train/{d}/000{i}.png" for d in range(10) for i in range(3)} | {
        f"val/{d}/000{i}.png" for d in range(10) for i in range(2)
    }
    assert np.asarray(Image.open(tmp_path / "val/7/0001.png")).shape == (64, 64, 3)


def test_labelled_images_are_a_function_of_the_seed(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        videos.make_labelled_images(tmp_path / name, per_class_train=1, per_class_val=1, seed=seed)
    image = "train/3/0000.png"
    a, b, c = (np.asarray(Image.open(tmp_path / name / image)) for name in "abc")
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_the_test_clip_shows_the_held_out_digit_that_is_returned(shown, material, tmp_path):
    digit = videos.make_test_clip(tmp_path / "new" / "clip.mp4", seed=0, num_frames=30)
    assert read(tmp_path / "new" / "clip.mp4").shape == (30, 64, 64, 3)
    assert material.labels[shown[0]] == digit
    assert shown[0] >= len(material.labels) - scene.NUM_HELD_OUT


def test_counts_below_one_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="num_videos is 0"):
        videos.make_sample_videos(tmp_path, num_videos=0, seed=0)
    with pytest.raises(ConfigError, match="per_class_val is 0"):
        videos.make_labelled_images(tmp_path, per_class_train=1, per_class_val=0, seed=0)
    with pytest.raises(ConfigError, match="num_frames is 0"):
        videos.make_test_clip(tmp_path / "clip.mp4", seed=0, num_frames=0)
    assert list(tmp_path.iterdir()) == []
