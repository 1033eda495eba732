import inspect
import json
import os
import pickle
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import vidmoco
from vidmoco.errors import ConfigError, VideoError
from vidmoco.interrupt import Stopped
from vidmoco.visualize.query import read_query


def test_features_of_many_videos_to_a_dataset(run, videos, tmp_path, capfd):
    (tmp_path / "text.mp4").write_text("no video")
    given = {"backbone": run, "device": "cpu", "fps": 2, "limits": {"max_duration": 60}}
    done = vidmoco.extract([videos, tmp_path / "text.mp4"], tmp_path / "f", **given, quiet=True)
    assert capfd.readouterr() == ("", "")
    assert done.path == tmp_path / "f" and list(done.failed) == ["text.mp4"]
    assert done.summary == "3 extracted (9 rows), 0 were there already, 1 failed"
    again = vidmoco.extract([videos, tmp_path / "text.mp4"], tmp_path / "f", **given)
    assert again.summary == "0 extracted (0 rows), 3 were there already, 1 failed"
    features = vidmoco.open_features(str(tmp_path / "f"))
    assert features.num_rows == 9
    rows, _ = vidmoco.embed(videos / "01.mp4", backbone=run, device="cpu", fps=2)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(features.of_file(1), unit, rtol=1e-5, atol=1e-6)


def test_a_list_of_one_video_is_many(run, videos, tmp_path):
    given = {"backbone": run, "device": "cpu", "num_frames": 2, "quiet": True}
    (tmp_path / "list.txt").write_text(f"{videos / '01.mp4'}\n")
    ways = [videos / "01.mp4"], f"@{tmp_path / 'list.txt'}", f"{videos}/01*.mp4"
    for number, one in enumerate(ways):
        done = vidmoco.extract(one, tmp_path / f"f{number}", **given)
        assert done.summary == "1 extracted (2 rows), 0 were there already, 0 failed"
        assert vidmoco.open_features(done).num_rows == 2
    vidmoco.extract([videos / "01.mp4"], tmp_path / "files", suffix=".parquet", **given)
    assert (tmp_path / "files/01.mp4.parquet").is_file()
    with pytest.raises(ConfigError, match=r"f\.npy reads as one file"):
        vidmoco.extract([videos / "01.mp4"], tmp_path / "f.npy", **given)


def test_features_of_a_video_to_a_file_by_a_loaded_backbone(run, videos, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    video, frozen = videos / "01.mp4", vidmoco.load_frozen(run, size=64)
    done = vidmoco.extract(video, "~/a.npy", backbone=frozen, times=[0.5, 0.2], dtype="float16")
    assert done.path == tmp_path / "a.npy" and done.summary.startswith("(2, 96) float16, ")
    assert np.load(done).dtype == np.float16
    about = json.loads((tmp_path / "a.json").read_text())
    assert about["preprocess"]["size"] == 64 and about["backbone"] == str(run.path.resolve())
    with pytest.raises(ConfigError, match="has its own feature"):
        vidmoco.extract(video, "~/a.npy", backbone=frozen, feature="cls")
    with pytest.raises(ConfigError, match="in this process, and engine is 'ray'"):
        vidmoco.extract([video, video], "~/a", backbone=frozen, engine="ray")
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(VideoError, match=r"text\.mp4: "):
        vidmoco.extract(tmp_path / "text.mp4", "~/b.npy", backbone=frozen)


def test_a_signal_of_a_scheduler_is_raised_so_that_what_is_done_is_kept(
    run, videos, tmp_path, monkeypatch
):
    def stopped(*_, **__):
        os.kill(os.getpid(), signal.SIGUSR2)

    monkeypatch.setattr("vidmoco.api.features.write_features", stopped)
    with pytest.raises(Stopped, match="SIGUSR2"):
        vidmoco.extract(videos / "01.mp4", tmp_path / "a.npy", backbone=run)


def test_evaluate_has_its_help():
    assert vidmoco.evaluate.__doc__.startswith("Compare frozen backbones on labelled images")
    assert list(inspect.signature(vidmoco.evaluate).parameters)[:2] == ["images", "backbones"]


@pytest.mark.parametrize("pickler", ["pickle", "cloudpickle"])
def test_evaluate_is_sent_to_other_processes_as_functions_are(pickler):
    sent = import_module(pickler).dumps({"call": vidmoco.evaluate})
    assert pickle.loads(sent)["call"] is vidmoco.evaluate
    code = f"import pickle; print(pickle.loads({sent!r})['call'].__doc__[:7])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "Compare\n"


def test_evaluation_is_a_function_and_a_folder_of_modules(run, make_images, tmp_path, capfd):
    import vidmoco.evaluate.knn

    assert vidmoco.evaluate.knn.knn_predictions
    options = {"k": 1, "linear": False, "device": "cpu", "workers": 0}
    images = make_images()
    found = vidmoco.evaluate(images, [run, "random"], **options)
    assert [row["name"] for row in found["rows"]] == ["a", "random (test_resnet)"]
    for key in ("knn_top1", "knn_balanced", "knn_interval"):  # as docs/evaluation.md has it
        assert found["rows"][0][key]["0.07"]["1"] is not None
    alone = vidmoco.evaluate(images, run, **options)
    assert alone["rows"][0]["knn_top1"] == found["rows"][0]["knn_top1"]
    frozen = vidmoco.load_frozen(run)
    capfd.readouterr()
    loaded = vidmoco.evaluate(images, [frozen, "random"], **options, quiet=True)
    assert capfd.readouterr() == ("", "") and loaded["rows"][0]["name"] == "a"
    with pytest.raises(ConfigError, match="and then has another preprocess"):
        vidmoco.evaluate(images, vidmoco.load_frozen(run, size=64), **options)
    again = run.evaluate(images, **options, output=tmp_path / "r.json")
    assert again["rows"][0]["knn_top1"] == found["rows"][0]["knn_top1"]
    assert (tmp_path / "r.json").is_file() and not Path("results.json").exists()


def test_search(run, videos, tmp_path, capfd):
    done = vidmoco.extract(videos, tmp_path / "f", backbone=run, device="cpu", quiet=True)
    query = f"{videos / '01.mp4'}@0.5"
    best, *_ = vidmoco.search(done, query, top=3, min_gap=0.0, device="cpu")
    assert best["video"] == str(videos / "01.mp4")
    assert best["seconds"] == pytest.approx(0.5)
    assert best["similarity"] == pytest.approx(1.0, abs=1e-5)
    frozen = vidmoco.load_frozen(run)
    capfd.readouterr()
    assert vidmoco.search(done, query, backbone=frozen, top=1, quiet=True) == [best]
    assert capfd.readouterr() == ("", "")
    pixels = read_query(query).pixels
    for picture in (pixels, Image.fromarray(pixels), torch.from_numpy(pixels).permute(2, 0, 1)):
        found = vidmoco.search(done, picture, top=3, min_gap=0.0, device="cpu")
        assert found[0]["seconds"] == best["seconds"]
        assert found[0]["similarity"] == pytest.approx(best["similarity"], abs=1e-5)


@pytest.mark.parametrize("name", ["a.npy", "dataset"])
def test_features_are_where_they_were_when_the_folder_changes(
    run, videos, tmp_path, monkeypatch, name
):
    monkeypatch.chdir(tmp_path)
    several = videos if name == "dataset" else sorted(videos.iterdir())[0]
    options = {"num_frames": 3, "quiet": True}
    done = vidmoco.extract(several, name, backbone=run, **options)
    opened = vidmoco.open_features(name)
    monkeypatch.chdir(videos)
    assert done.path == tmp_path / name
    assert opened.take([0, 2]).shape == (2, 96)
