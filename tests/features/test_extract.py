import json
import multiprocessing
import re
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from painted_videos import write_video

from vidmoco.backbones.build import load_backbone
from vidmoco.backbones.frozen import load_frozen
from vidmoco.backbones.preprocess import normalize, preprocess_of, resize_and_crop
from vidmoco.cli.main import main
from vidmoco.config.extract import ExtractCommand
from vidmoco.config.frame_selection import FrameSelection
from vidmoco.config.limits import Limits
from vidmoco.errors import ConfigError, VideoError
from vidmoco.features import extract as extract_module
from vidmoco.features import extract_command as command_module
from vidmoco.features import stream
from vidmoco.features.extract import extract_video, extract_videos, is_done
from vidmoco.features.extract_command import default_backbone
from vidmoco.features.extract_command import extract as extract_command
from vidmoco.features.extraction import Extraction
from vidmoco.features.feature_file import SUFFIXES
from vidmoco.video.info import VideoInfo
from vidmoco.video.probe import probe_video
from vidmoco.video.sequential_reader import iter_frames

FILES = ("--format", "npy")


def extract(*words):
    return main(["extract", *map(str, words)])


@pytest.mark.parametrize("name", ["video1.mp4", "deeper/video5.ts", "deeper/video4.webm"])
def test_a_row_is_the_feature_of_its_frame(video_folder, backbone, tmp_path, name):
    output = tmp_path / "feats.npy"
    assert (
        extract(video_folder / name, "-o", output, "--backbone", backbone, "--batch-size", 7) == 0
    )
    model = load_backbone(backbone)
    preprocess = preprocess_of(model)
    times, features = [], []
    for pts, frame in iter_frames(probe_video(video_folder / name, root=video_folder)):
        image = resize_and_crop(torch.from_numpy(frame).permute(2, 0, 1), preprocess)
        with torch.inference_mode():
            features.append(model(normalize(image[None], preprocess))[0].numpy())
        times.append(pts)
    np.testing.assert_allclose(np.load(output), np.stack(features), rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(np.load(tmp_path / "feats.timestamps.npy"), times)
    sidecar = json.loads((tmp_path / "feats.json").read_text())
    assert sidecar["architecture"] == "resnet18"
    assert sidecar["preprocess"]["size"] == 32
    assert sidecar["damage"] == []


def test_batch_size_and_dtype_do_not_change_the_features(video_folder, backbone, tmp_path):
    video = video_folder / "video1.mp4"
    for name, options in {"a": ["--batch-size", 1], "b": ["--dtype", "float16"]}.items():
        assert extract(video, "-o", tmp_path / f"{name}.npy", "--backbone", backbone, *options) == 0
    a, b = np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy")
    assert (a.dtype, b.dtype) == (np.float32, np.float16)
    np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-3)


def test_thinning_by_rate_and_by_count(video_folder, backbone, tmp_path):
    video = video_folder / "video1.mp4"  # 30 frames at 10 fps
    for name, options, expected in (
        ("every", ["--every", 7], np.arange(0, 30, 7) / 10),
        ("fps", ["--fps", 2], np.arange(6) / 2),
        ("more", ["--fps", 50], np.arange(30) / 10),
    ):
        output = tmp_path / f"{name}.npy"
        assert extract(video, "-o", output, "--backbone", backbone, *options) == 0
        np.testing.assert_allclose(
            np.load(output.with_suffix(".timestamps.npy")), expected, atol=1e-6
        )


def test_a_folder_is_written_file_by_file_and_not_twice(video_folder, backbone, tmp_path, capsys):
    videos, output = tmp_path / "videos", tmp_path / "feats"
    for name in ("a.mp4", "a.mkv", "deeper/b.mp4"):
        write_video(videos / name, num_frames=5)
    (videos / "broken.mp4").write_text("this is no video")
    assert extract(videos, "-o", output, *FILES, "--backbone", backbone) == 1
    printed = capsys.readouterr()
    assert "3 extracted, 0 were there already, 1 failed" in printed.out
    assert "broken.mp4" in printed.err
    written = sorted(str(p.relative_to(output)) for p in output.rglob("*.npy"))
    assert [w for w in written if "timestamps" not in w] == [
        "a.mkv.npy",
        "a.mp4.npy",
        "deeper/b.mp4.npy",
    ]

    before = {p: p.stat().st_mtime_ns for p in output.rglob("*.npy")}
    (output / "a.mkv.json").unlink()  # as if stopped before the end of this one
    assert extract(videos, "-o", output, *FILES, "--backbone", backbone) == 1
    assert "1 extracted, 2 were there already, 1 failed" in capsys.readouterr().out
    changed = {p.name for p in output.rglob("*.npy") if p.stat().st_mtime_ns != before[p]}
    assert changed == {"a.mkv.npy", "a.mkv.timestamps.npy"}

    assert extract(videos, "-o", output, *FILES, "--backbone", backbone, "--every", 2) == 2
    assert "made with other settings: --every 1, now --every 2" in capsys.readouterr().err
    words = ["--every", 2, "--overwrite"]
    assert extract(videos, "-o", output, *FILES, "--backbone", backbone, *words) == 1
    assert len(np.load(output / "a.mp4.npy")) == 3


def test_features_of_any_other_setting_are_refused(tmp_path):
    info = VideoInfo(root=str(tmp_path), key="a.mp4", num_bytes=1, mtime_ns=2)
    one = Extraction(info, tmp_path / "a.npy")
    one.output.touch()
    known = {"source": one.source, "source_bytes": 1, "source_mtime_ns": 2}
    (tmp_path / "a.json").write_text(json.dumps(known))
    assert is_done(one, {"backbone": "another"})
    names = ["weights_hash", "precision", "feature", "pool", "normalize", "dtype"]
    for name in (*names, *(field.name for field in fields(FrameSelection))):
        with pytest.raises(ConfigError, match=r"a\.npy was made with other settings: .*another"):
            is_done(one, {name: "another"})
    with pytest.raises(ConfigError, match="other settings: no --size, now --size 64"):
        is_done(one, {"preprocess": {"size": 64}})


def test_damage_is_said_and_in_the_sidecar(backbone, tmp_path, capsys):
    path = tmp_path / "a.mp4"
    write_video(path, num_frames=30, gop=10, b_frames=0)
    with av.open(str(path)) as opened:
        packet = [packet for packet in opened.demux(video=0) if packet.size][10]
    data = bytearray(path.read_bytes())
    data[packet.pos + 8 : packet.pos + packet.size] = bytes(packet.size - 8)
    path.write_bytes(data)
    assert extract(path, "-o", tmp_path / "feats.npy", "--backbone", backbone) == 0
    times = np.load(tmp_path / "feats.timestamps.npy")
    np.testing.assert_allclose(times, [*np.arange(10) / 10, *np.arange(20, 30) / 10], atol=1e-6)
    (message,) = json.loads((tmp_path / "feats.json").read_text())["damage"]
    assert "damaged frames left out: 10, the first at 1.000 s" in message
    assert message in capsys.readouterr().err
    (tmp_path / "folder").mkdir()
    path.rename(tmp_path / "folder" / "a.mp4")
    assert extract(tmp_path / "folder", "-o", tmp_path / "all", "--backbone", backbone) == 0
    assert "a.mp4: damaged frames left out: 10" in capsys.readouterr().err


def test_a_decoder_that_dies_costs_one_video(backbone, tmp_path, monkeypatch, capsys):
    videos, output = tmp_path / "videos", tmp_path / "feats"
    for name, num_frames in {"a.mp4": 5, "b.mp4": 30, "c.mp4": 5}.items():
        write_video(videos / name, num_frames=num_frames)
    honest = extract_module._write_features

    def deadly(pieces):
        yield next(pieces)
        (process,) = multiprocessing.active_children()
        process.kill()
        yield from pieces

    def write_features(features, *others):
        if features.video.key == "b.mp4":
            features = replace(features, pieces=deadly(features.pieces))
        return honest(features, *others)

    monkeypatch.setattr(extract_module, "_write_features", write_features)
    # 15 batches of 2 frames: more than there are slots, so that some are still to be made.
    assert extract(videos, "-o", output, *FILES, "--backbone", backbone, "--batch-size", 2) == 1
    printed = capsys.readouterr()
    assert "2 extracted, 0 were there already, 1 failed" in printed.out
    assert "its decoder crashed (SIGKILL" in printed.err
    assert sorted(p.name for p in output.iterdir() if p.suffix == ".json") == [
        "a.mp4.json",
        "c.mp4.json",
    ]
    assert not list(output.glob("b.mp4*"))


def test_features_are_those_of_the_plain_way_bit_for_bit(video_folder, backbone, tmp_path):
    frozen = load_frozen(str(backbone))
    todo = [
        Extraction(probe_video(video_folder / name, root=video_folder), tmp_path / f"{number}.npy")
        for number, name in enumerate(["video1.mp4", "deeper/video5.ts", "deeper/video4.webm"])
    ]
    for one, (extracted, rows) in zip(
        todo, extract_videos(frozen, todo, batch_size=8), strict=True
    ):
        assert extracted is one
        video, output = one.video, one.output
        images = [
            resize_and_crop(torch.from_numpy(frame).permute(2, 0, 1), frozen.preprocess)
            for _, frame in iter_frames(video)
        ]
        with torch.inference_mode():
            expected = [
                frozen.backbone(
                    normalize(torch.stack(images[start : start + 8]), frozen.preprocess).contiguous(
                        memory_format=torch.channels_last
                    )
                ).numpy()
                for start in range(0, len(images), 8)
            ]
        assert rows == len(images)
        np.testing.assert_array_equal(np.load(output), np.concatenate(expected))


def test_labels_beside_the_video_are_kept(video_folder, backbone, tmp_path, capsys):
    (tmp_path / "clip.json").write_text('{"label": "cat"}')
    video = sorted(video_folder.glob("*.mp4"))[0]
    assert extract(video, "-o", tmp_path / "clip.npy", "--backbone", backbone) == 2
    assert "clip.json, but that is a file of something else" in capsys.readouterr().err
    with pytest.raises(ConfigError, match=r"clip\.json, but that is"):
        extract_video(load_frozen(str(backbone)), video, tmp_path / "clip.npy")
    assert (tmp_path / "clip.json").read_text() == '{"label": "cat"}'


def test_one_video_from_python(video_folder, backbone, tmp_path):
    frozen = load_frozen(str(backbone))
    video = probe_video(video_folder / "video1.mp4", root=video_folder)
    assert extract_video(frozen, video, tmp_path / "a.npy", every=4) == 8
    with pytest.raises(VideoError, match=r"video1\.mp4: its picture of 256 x 192 has more than 9 "):
        extract_video(frozen, video, tmp_path / "b.npy", limits=Limits(max_pixels=9))
    assert not list(tmp_path.glob("b*"))
    (tmp_path / "two.txt").write_text(f"{video.path}\n{video.path}\n")
    np.save(tmp_path / "mine.npy", np.zeros(3))
    (tmp_path / "feats/__vidmoco__").mkdir(parents=True)
    (tmp_path / "feats/__vidmoco__/dataset.json").touch()
    for given, output, told in (
        (
            f"@{tmp_path}/two.txt",
            "c.npy",
            "takes one video, and 2 are given. Give them to vidmoco.",
        ),
        (video, "a.npz", "expected a name that ends in .npy, .parquet"),
        (video, "mine.npy", "mine.npy is there without the sidecar mine.json"),
        (video, "feats/a.npy", "feats, which has a dataset"),
    ):
        with pytest.raises(ConfigError, match=re.escape(told)):
            extract_video(frozen, given, tmp_path / output)
    assert extract_video(frozen, video.path, tmp_path / "a.npy", every=8) == 4


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_is_told_in_one_line(suffix, backbone, tmp_path):
    """What ends only with the process adds its own lines."""
    write_video(tmp_path / "a.mp4", num_frames=3)
    words = ["extract", tmp_path / "a.mp4", "-o", tmp_path / f"f{suffix}", "--backbone", backbone]
    code = f"""
import sys
from vidmoco.cli.main import main
from vidmoco.features import feature_file

def no_space(*arguments):
    raise OSError(28, "No space left on device")

feature_file.RowWriter.append = feature_file._ParquetFile.append = no_space
sys.exit(main({list(map(str, words))}))
"""
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ended.returncode == 2
    assert "No space left on device. Make room" in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr and "ignored" not in ended.stderr


@pytest.mark.parametrize("kind", ["npy", "parquet"])
def test_an_interrupt_leaves_no_process_and_no_half_file(kind, backbone, tmp_path, monkeypatch):
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / "videos" / name, num_frames=30)
    started = set(multiprocessing.active_children())

    def interrupted(frozen, batches):
        next(iter(batches))
        assert set(multiprocessing.active_children()) - started
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(stream, "features_of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        extract_command(
            ExtractCommand(
                videos=(tmp_path / "videos",),
                output=tmp_path / "feats",
                backbone=str(backbone),
                format=kind,
            )
        )
    assert set(multiprocessing.active_children()) <= started
    left = [path.name for path in (tmp_path / "feats").rglob("*") if path.is_file()]
    assert left == ([] if kind == "npy" else ["dataset.json"])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["none.mp4", "-o", "f.npy"], "none.mp4"),
        (["text.mp4", "-o", "f.npy"], "text.mp4"),
        (["zero.mp4", "-o", "f.npy"], "zero.mp4"),
        (["good.mp4", "-o", "f.csv"], ".npy, .parquet"),
        (["good.mp4", "-o", "."], "is a folder"),
        ([".", "-o", "f.npy"], ". is a folder of videos"),
        (["good.mp4", "-o", "/proc/no/f.npy"], "Cannot write to /proc/no"),
        (["good.mp4", "-o", "f.npy", "--backbone", "resnet5000"], "Did you mean"),
        (["good.mp4", "-o", "f.npy", "--backbone", "no/such"], "no backbone at no/such"),
        (["good.mp4", "-o", "f.npy", "--device", "cuda:77"], "is not here"),
        (["good.mp4", "-o", "f.npy", "--device", "gpu"], "expected auto, cpu"),
    ],
)
def test_bad_input_is_one_clear_line(tmp_path, monkeypatch, capsys, words, expected):
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "good.mp4", num_frames=3)
    (tmp_path / "text.mp4").write_text("not a video at all\n" * 50)
    (tmp_path / "zero.mp4").touch()
    assert extract(*words) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert "Traceback" not in error
    assert not list(tmp_path.glob("f.*"))


@pytest.mark.parametrize(
    ("flag", "value"), [("--fps", "0"), ("--every", "0"), ("--size", "2"), ("--batch-size", "0")]
)
def test_flags_out_of_range(tmp_path, capsys, flag, value):
    assert extract("a.mp4", "-o", "f.npy", flag, value) == 2
    assert flag in capsys.readouterr().err


def test_rows_and_times_of_a_real_clip_are_those_of_pyav(real_data, backbone, tmp_path):
    import av

    for clip in sorted((real_data / "videos" / "misc").rglob("*.*"))[:8:3]:
        output = tmp_path / "feats.npy"
        assert extract(clip, "-o", output, "--backbone", backbone) == 0
        with av.open(str(clip)) as container:
            times = [
                float(f.pts * f.time_base) for f in container.decode(container.streams.video[0])
            ]
        assert np.load(output).shape == (len(times), 512)
        np.testing.assert_allclose(
            np.load(tmp_path / "feats.timestamps.npy"), np.array(times) - times[0], atol=1e-9
        )


def test_the_default_backbone_is_the_newest_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert default_backbone() == command_module.DEFAULT_BACKBONE == "resnet50"
    (tmp_path / "run" / "backbone").mkdir(parents=True)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "latest").symlink_to(Path("..") / "run")
    assert default_backbone() == "runs/latest"
