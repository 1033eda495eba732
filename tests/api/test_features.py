import inspect
import multiprocessing
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import vidmoco
from vidmoco.backbones.frozen import FrozenBackbone
from vidmoco.backbones.preprocess import resize_and_crop
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
    np.testing.assert_array_equal(features, np.load(tmp_path / "f.npy")[::2])
    assert times.tolist() == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    several = vidmoco.embed([str(video), videos / "02.mp4"], backbone=frozen, num_frames=1)
    assert [one.shape for one, _ in several] == [(1, 96)] * 2
    np.testing.assert_array_equal(several[0][0][0], np.load(tmp_path / "f.npy")[6])
    roundabout = os.path.relpath(videos / ".." / videos.name / "02.mp4")
    again = vidmoco.embed([roundabout, video, roundabout], backbone=frozen, num_frames=1)
    np.testing.assert_array_equal(again[2][0], several[1][0])
    np.testing.assert_array_equal(again[1][0], several[0][0])
    pooled, _ = run.embed(video, pool="mean")
    np.testing.assert_allclose(pooled[0], np.load(tmp_path / "f.npy").mean(0), rtol=1e-5)


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
    with pytest.raises(ConfigError, match="a row of its own: leave out fps and normalize"):
        run.embed(frames, fps=2, normalize=True)


def test_an_interrupt_leaves_no_processes(run, videos, monkeypatch):
    """A notebook keeps the exception, and with it what was suspended."""

    def stop(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(FrozenBackbone, "features", stop)
    with pytest.raises(KeyboardInterrupt) as kept:
        run.embed([videos / "01.mp4", videos / "02.mp4"])
    assert kept and not multiprocessing.active_children()


def test_what_cannot_be_embedded(run, tmp_path):
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


def test_evaluate_has_its_help():
    assert vidmoco.evaluate.__doc__.startswith("Compare frozen backbones on labelled images")
    assert list(inspect.signature(vidmoco.evaluate).parameters)[:2] == ["images", "backbones"]


@pytest.mark.parametrize("pickler", ["pickle", "cloudpickle"])
def test_evaluate_is_sent_to_other_processes_as_functions_are(pickler):
    sent = pytest.importorskip(pickler).dumps({"call": vidmoco.evaluate})
    assert pickle.loads(sent)["call"] is vidmoco.evaluate
    code = f"import pickle; print(pickle.loads({sent!r})['call'].__doc__[:7])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "Compare\n"


def test_evaluation_is_a_function_and_a_folder_of_modules(run, make_images, tmp_path):
    import vidmoco.evaluate.knn

    assert vidmoco.evaluate.knn.weighted_knn
    options = {"k": (1,), "linear": False, "device": "cpu", "workers": 0}
    images = make_images()
    found = vidmoco.evaluate(images, [run, "random"], **options)
    assert [row["name"] for row in found["rows"]] == ["a", "random (test_resnet)"]
    for key in ("knn_top1", "knn_balanced", "knn_interval"):  # as docs/evaluation.md has it
        assert found["rows"][0][key]["0.07"]["1"] is not None
    alone = vidmoco.evaluate(images, run, **options)
    assert alone["rows"][0]["knn_top1"] == found["rows"][0]["knn_top1"]
    again = run.evaluate(images, **options, output=tmp_path / "r.json")
    assert again["rows"][0]["knn_top1"] == found["rows"][0]["knn_top1"]
    assert (tmp_path / "r.json").is_file() and not Path("results.json").exists()


def test_search(run, videos, tmp_path, capsys):
    from vidmoco.cli.main import main

    words = ["extract", str(videos), "-o", str(tmp_path / "f"), "--backbone", str(run.path)]
    assert main([*words, "--device", "cpu"]) == 0
    query = f"{videos / '01.mp4'}@0.5"
    best, *_ = vidmoco.search(tmp_path / "f", query, top=3, min_gap=0.0, device="cpu")
    assert best["video"] == str(videos / "01.mp4")
    assert best["seconds"] == pytest.approx(0.5)
    assert best["similarity"] == pytest.approx(1.0, abs=1e-5)
