import multiprocessing
import os
from functools import partial

import numpy as np
import pytest
import torch
from painted_videos import write_video

import vidmoco
from vidmoco.backbones.frozen import FrozenBackbone
from vidmoco.backbones.preprocess import resize_and_crop
from vidmoco.config.frame_selection import FrameSelection
from vidmoco.errors import ConfigError, VideoError
from vidmoco.features.extract import extract_video
from vidmoco.video.probe import probe_video


def test_features_in_memory_are_those_of_the_command(run, videos, tmp_path):
    video = videos / "01.mp4"
    features, times = vidmoco.embed(video, backbone=run, device="cpu", every=2)
    frozen = vidmoco.load_frozen(str(run.path))
    frozen.move_to(torch.device("cpu"))
    info = probe_video(video, root=videos)
    assert extract_video(frozen, info, tmp_path / "f.npy") == 12
    written = np.load(tmp_path / "f.npy")
    close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6)  # batches of other sizes
    close(features, written[::2])
    assert times.tolist() == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    several = vidmoco.embed([str(video), videos / "02.mp4"], backbone=frozen, num_frames=1)
    assert [one.shape for one, _ in several] == [(1, 96)] * 2
    close(several[0][0][0], written[6])
    roundabout = os.path.relpath(videos / ".." / videos.name / "02.mp4")
    again = vidmoco.embed([roundabout, video, roundabout], backbone=frozen, num_frames=1)
    np.testing.assert_array_equal(again[2][0], several[1][0])
    np.testing.assert_array_equal(again[1][0], several[0][0])
    pooled, _ = run.embed(video, pool="mean")
    np.testing.assert_allclose(pooled[0], np.load(tmp_path / "f.npy").mean(0), rtol=1e-5)


def test_rows_are_in_the_order_of_the_times_that_were_asked_for(run, videos):
    frozen = vidmoco.load_frozen(run)
    asked = [1.0, 0.5, 1.0, 0.25]
    features, times = vidmoco.embed(videos / "01.mp4", backbone=frozen, times=asked)
    assert times.round(6).tolist() == [1.0, 0.5, 1.0, 0.2]
    every, _ = vidmoco.embed(videos / "01.mp4", backbone=frozen)
    np.testing.assert_allclose(features, every[[10, 5, 10, 2]], rtol=1e-4, atol=1e-5)
    part = {"times": asked, "start": 0.3, "end": 0.9}
    assert vidmoco.embed(videos / "01.mp4", backbone=frozen, **part)[1].round(6).tolist() == [0.5]
    part = {"times": ["0:01", "0:00.5"], "start": "0:00:00.3", "end": "0.9"}
    assert vidmoco.embed(videos / "01.mp4", backbone=frozen, **part)[1].round(6).tolist() == [0.5]
    pooled, _ = vidmoco.embed(videos / "01.mp4", backbone=frozen, times=asked, pool="max")
    np.testing.assert_array_equal(pooled[0], features.max(axis=0))


def test_patch_tokens(run, videos):
    features, _ = vidmoco.embed(videos / "01.mp4", backbone=run, feature="patches", num_frames=2)
    assert features.ndim == 3 and len(features) == 2
    frozen = vidmoco.load_frozen(run, feature="patches")
    again, _ = vidmoco.embed(videos / "01.mp4", backbone=frozen, num_frames=2)
    np.testing.assert_allclose(features, again, rtol=1e-4, atol=1e-5)


def test_an_error_in_the_place_of_a_video(run, videos, tmp_path, capfd):
    frozen = vidmoco.load_frozen(run)
    (tmp_path / "text.mp4").write_text("no video")
    asked = [videos / "01.mp4", tmp_path / "text.mp4", videos / "02.mp4"]
    # No frame is at 0.9 s of the short one, which only its decoder finds out.
    write_video(tmp_path / "short.mp4", num_frames=5)
    asked.append(tmp_path / "short.mp4")
    options = {"backbone": frozen, "times": 0.9, "errors": "return", "quiet": True}
    found = vidmoco.embed(asked, **options)
    assert [isinstance(one, VideoError) for one in found] == [False, True, False, True]
    assert "text.mp4: " in str(found[1]) and "has no frame at 0.9 s" in str(found[3])
    assert found[2][0].shape == (1, 96) and capfd.readouterr() == ("", "")
    with pytest.raises(VideoError, match=r"has no frame at 0\.9 s"):
        vidmoco.embed([asked[0], asked[3]], **options | {"errors": "raise"})
    (tmp_path / "list.txt").write_text(f"{asked[0]}\n{asked[2]}\n")
    assert len(vidmoco.embed(f"@{tmp_path / 'list.txt'}", backbone=frozen, num_frames=1)) == 2


def test_features_of_an_array(run):
    frames = np.random.default_rng(0).integers(0, 256, (5, 40, 60, 3), dtype=np.uint8)
    features, times = run.embed(frames, batch_size=2)
    assert features.dtype == np.float32 and times.tolist() == [0, 1, 2, 3, 4]
    frozen = vidmoco.load_frozen(str(run.path))
    image = resize_and_crop(torch.from_numpy(frames[3]).permute(2, 0, 1), frozen.preprocess)
    np.testing.assert_allclose(features[3], frozen.features(image[None])[0], rtol=1e-4, atol=1e-5)
    assert run.embed(frames[:0])[0].shape == (0, 96)
    with pytest.raises(ConfigError, match=r"float64 \(5, 40, 60, 3\); expected uint8"):
        run.embed(frames.astype(float))
    np.testing.assert_array_equal(run.embed(torch.from_numpy(frames))[0], run.embed(frames)[0])
    kept = np.frombuffer(frames[..., ::-1].tobytes(), np.uint8).reshape(frames.shape)
    for other in (frames[..., ::-1], kept):  # turned round as OpenCV's BGR; not to be written to
        np.testing.assert_array_equal(run.embed(other)[0], run.embed(other.copy())[0])
    patches = vidmoco.load_frozen(run, feature="patches")
    assert vidmoco.embed(frames, backbone=patches)[0].shape == (5, *patches.row_shape)
    with pytest.raises(ConfigError, match=r"uint8 \(5, 0, 60, 3\); expected uint8"):
        run.embed(frames[:, :0])
    with pytest.raises(ConfigError, match="a row of its own: leave out fps and pool"):
        run.embed(frames, fps=2, pool="mean")
    unit, _ = run.embed(frames, normalize=True)
    np.testing.assert_allclose(
        (unit * features).sum(1), np.linalg.norm(features, axis=1), rtol=1e-4
    )


def test_an_interrupt_leaves_no_processes(run, videos, monkeypatch):
    """A notebook keeps the exception, and with it what was suspended."""

    def stop(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(FrozenBackbone, "features", stop)
    with pytest.raises(KeyboardInterrupt) as kept:
        run.embed([videos / "01.mp4", videos / "02.mp4"])
    assert kept and not multiprocessing.active_children()


def test_what_cannot_be_embedded(run, videos, tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(VideoError, match=r"text\.mp4: "):
        run.embed(tmp_path / "text.mp4")
    name = tmp_path / os.fsdecode(b"caf\xe9.mp4")
    name.touch()
    with pytest.raises(VideoError, match=r"its name is not valid UTF-8; rename it\."):
        run.embed(name)
    with pytest.raises(ConfigError, match=r"is a folder\. Give its videos"):
        run.embed(tmp_path)
    with pytest.raises(ConfigError, match=r"is a catalog\. Give its videos"):
        run.embed("videos.parquet")
    with pytest.raises(VideoError, match=r"longer than 1 s \(--max-duration\)"):
        run.embed(videos / "01.mp4", limits={"max_duration": 1})
    frozen = vidmoco.load_frozen(str(run.path))
    with pytest.raises(ConfigError, match="that is loaded has its own size and device"):
        vidmoco.embed("a.mp4", backbone=frozen, size=64, device="cpu")
    with pytest.raises(ConfigError, match="nothing"):
        vidmoco.embed("a.mp4", backbone=tmp_path / "nothing")


def test_settings_as_numpy_has_them(run, videos):
    times = np.array([0.1, 0.5])
    features, found = run.embed(videos / "01.mp4", times=times, start=np.float32(0))
    assert features.shape == (2, 96) and found.tolist() == pytest.approx(times.tolist())


def test_a_video_to_a_file_by_their_names(run, videos, tmp_path):
    frozen = vidmoco.load_frozen(run)
    assert vidmoco.extract_video(frozen, str(videos / "01.mp4"), str(tmp_path / "a.npy")) == 12
    with pytest.raises(ConfigError, match="nothing"):
        vidmoco.extract_video(frozen, "nothing.mp4", tmp_path / "a.npy")
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(VideoError, match=r"text\.mp4: "):
        vidmoco.extract_video(frozen, tmp_path / "text.mp4", tmp_path / "b.npy")
    with pytest.raises(ConfigError, match=r"is a folder\. Give its videos"):
        vidmoco.extract_video(frozen, videos, tmp_path / "b.npy")
    two = {"num_frames": 2, "start": "0:00.2"}
    assert vidmoco.extract_video(frozen, videos / "01.mp4", tmp_path / "c.npy", **two) == 2
    given = {"selection": FrameSelection(num_frames=2), "fps": 1}
    with pytest.raises(ConfigError, match="selection says which frames, and fps too"):
        vidmoco.extract_video(frozen, videos / "01.mp4", tmp_path / "c.npy", **given)
