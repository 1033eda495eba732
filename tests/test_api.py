import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from painted_videos import read_index, write_video, write_videos

import vidmoco
from vidmoco.backbones.preprocess import resize_and_crop
from vidmoco.errors import CheckpointError, ConfigError, VideoError
from vidmoco.features.extract import extract_video
from vidmoco.video.probe import probe_video

SMALL = {
    "recipe": "tiny_cpu", "batch_size": 8, "backbone": "test_resnet", "augment": {"size": 32},
    "data": {"short_side": 32}, "method": {"queue_size": 40, "bn_splits": 2},
    "optim": {"warmup_epochs": 0}, "engine": {"log_every": 1, "threads": 1}, "workers": 0,
    "quiet": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    write_videos(folder, 3)
    return folder


@pytest.fixture(scope="module")
def run(videos, tmp_path_factory):
    return vidmoco.pretrain(videos, run=tmp_path_factory.mktemp("runs") / "a", steps=2, **SMALL)


def test_a_run_of_three_videos_from_python(run, videos):
    assert run.is_finished
    assert run.metrics.column("step").to_pylist() == [1, 2]
    assert run.config.data.batch_size == 8 and run.config.videos == (videos,)
    assert run.config.method.queue_size == 40 and run.config.method.name == "moco"
    with torch.no_grad():
        assert run.backbone()(torch.zeros(2, 3, 32, 32)).shape == (2, 96)
    assert vidmoco.load_run(str(run.path)) == run
    page = run.report()
    assert page.read_text().startswith("<!DOCTYPE html>")


def test_a_second_call_is_the_same_and_a_stopped_run_goes_on(run, videos, tmp_path, monkeypatch):
    again = vidmoco.pretrain([str(videos)], run=str(tmp_path / "b"), steps=2, **SMALL)
    assert again.metrics.column("loss") == run.metrics.column("loss")
    with pytest.raises(ConfigError, match="with its own settings; steps cannot be given"):
        vidmoco.pretrain(videos, run=tmp_path / "b", resume=True, steps=9)
    assert vidmoco.pretrain(videos, run=tmp_path / "b", resume=True, quiet=True) == again
    monkeypatch.chdir(tmp_path)
    unnamed = vidmoco.pretrain(videos, steps=1, **SMALL | {"method": "simclr"})
    assert unnamed.path == Path("runs/tiny_cpu-1") and unnamed.config.method.name == "simclr"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stepz": 3}, "unknown key 'stepz'. Did you mean 'steps'"),
        ({"data": {"max_gaps": 3}}, r"unknown key 'data\.max_gaps'"),
        ({"method": "moko"}, r"'method\.name' is 'moko'"),
        ({"batch_size": "many"}, r"'data\.batch_size' is 'many'; it must be a whole number"),
    ],
)
def test_settings_that_cannot_be(videos, settings, message):
    with pytest.raises(ConfigError, match=message):
        vidmoco.pretrain(videos, **settings)


def test_no_run(tmp_path):
    with pytest.raises(CheckpointError, match="is no run folder: it has no config"):
        vidmoco.load_run(tmp_path)


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
    with pytest.raises(ConfigError, match="Frames of an array are all taken"):
        run.embed(frames, fps=2)


def test_what_cannot_be_embedded(run, tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(VideoError, match=r"text\.mp4: "):
        run.embed(tmp_path / "text.mp4")
    with pytest.raises(ConfigError, match="nothing"):
        vidmoco.embed("a.mp4", backbone=tmp_path / "nothing")


def test_evaluation_is_a_function_and_a_folder_of_modules(run, make_images, tmp_path):
    import vidmoco.evaluate.knn

    assert vidmoco.evaluate.knn.weighted_knn
    options = {"k": (1,), "linear": False, "device": "cpu", "workers": 0}
    images = make_images()
    found = vidmoco.evaluate(images, [run, "random"], **options)
    assert [row["name"] for row in found["rows"]] == ["a", "random (test_resnet)"]
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


def test_all_public_names_are_there_and_documented():
    code = "import vidmoco; [getattr(vidmoco, name) for name in vidmoco.__all__]"
    subprocess.run([sys.executable, "-c", code], check=True)
    for name in vidmoco.__all__:
        assert getattr(vidmoco, name).__doc__
    assert {"pretrain", "embed"} <= set(dir(vidmoco))


def test_a_backbone_in_plain_timm(run):
    assert timm.create_model(f"local-dir:{run.path / 'backbone'}", pretrained=True).num_features


def test_painted_videos_are_read(videos, tmp_path):
    write_video(tmp_path / "a.mp4", num_frames=1, first_index=7)
    pairs = vidmoco.FramePairs(tmp_path, batch_size=2, short_side=64, workers=0)
    batch = next(iter(pairs))
    assert read_index(batch["frames"][0, 0].permute(1, 2, 0).numpy()) == 7
