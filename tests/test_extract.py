import json
import threading
import time

import av
import numpy as np
import pytest
import timm
import torch
from painted_videos import write_video

from vidmoco import extract as extract_module
from vidmoco.backbones import load_backbone, save_backbone
from vidmoco.cli import main
from vidmoco.extract import _ahead
from vidmoco.preprocess import normalize, preprocess_of, resize_and_crop
from vidmoco.video.probe import probe_video
from vidmoco.video.sequential import SequentialReader, iter_frames


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("run") / "backbone"
    model = timm.create_model("resnet18", num_classes=0)
    model.pretrained_cfg = dict(model.pretrained_cfg)
    save_backbone(model.eval(), folder, input_size=32, provenance={})
    return folder


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
    assert extract(videos, "-o", output, "--backbone", backbone) == 1
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
    assert extract(videos, "-o", output, "--backbone", backbone) == 1
    assert "1 extracted, 2 were there already, 1 failed" in capsys.readouterr().out
    changed = {p.name for p in output.rglob("*.npy") if p.stat().st_mtime_ns != before[p]}
    assert changed == {"a.mkv.npy", "a.mkv.timestamps.npy"}

    assert extract(videos, "-o", output, "--backbone", backbone, "--every", 2) == 2
    assert "another every" in capsys.readouterr().err
    assert extract(videos, "-o", output, "--backbone", backbone, "--every", 2, "--overwrite") == 1
    assert len(np.load(output / "a.mp4.npy")) == 3


def test_damage_is_in_the_sidecar(backbone, tmp_path):
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


def test_a_decoder_that_dies_costs_one_video(video_folder, backbone, tmp_path, monkeypatch, capsys):
    videos, output = tmp_path / "videos", tmp_path / "feats"
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        write_video(videos / name, num_frames=5)
    honest = SequentialReader.frames

    def frames(reader, video, **options):
        for number, frame in enumerate(honest(reader, video, **options)):
            if video.key == "b.mp4" and number == 2:
                (worker,) = reader._pool._workers
                worker.process.kill()
            yield frame

    monkeypatch.setattr(SequentialReader, "frames", frames)
    big = videos / "b.mp4"
    write_video(big, num_frames=60, size=(640, 480))  # more than a pipe holds
    assert extract(videos, "-o", output, "--backbone", backbone) == 1
    printed = capsys.readouterr()
    assert "2 extracted, 0 were there already, 1 failed" in printed.out
    assert "its decoder crashed (SIGKILL" in printed.err
    assert not (output / "b.mp4.npy").exists()


def test_ranks_share_the_videos(video_folder, backbone, tmp_path, monkeypatch):
    seen = []
    for rank in range(2):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "2")
        assert extract(video_folder, "-o", tmp_path / str(rank), "--backbone", backbone) == 0
        seen.append(
            {str(p.relative_to(tmp_path / str(rank))) for p in tmp_path.glob(f"{rank}/**/*.json")}
        )
    assert len(seen[0]) == len(seen[1]) == 3
    assert not seen[0] & seen[1]


def test_decoding_runs_ahead_but_not_away():
    made = []

    def numbers():
        for n in range(100):
            made.append(n)
            yield n

    ahead = _ahead(numbers(), size=2)
    assert next(ahead) == 0
    time.sleep(0.3)
    assert len(made) <= 4  # one handed over, two waiting, one in the hand
    assert list(ahead) == list(range(1, 100))


def test_an_error_of_the_decoder_reaches_the_caller_and_the_thread_ends():
    def broken():
        yield 1
        raise OSError("gone")

    ahead = _ahead(broken(), size=2)
    assert next(ahead) == 1
    with pytest.raises(OSError, match="gone"):
        next(ahead)
    ahead = _ahead(iter(range(10**9)), size=2)
    next(ahead)
    ahead.close()
    assert not [t for t in threading.enumerate() if t.name == "decode"]


def test_the_default_backbone_is_the_newest_run(backbone, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert extract_module.default_backbone() == "resnet50"
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "latest").symlink_to(backbone.parent)
    assert extract_module.default_backbone() == "runs/latest"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["none.mp4", "-o", "f.npy"], "none.mp4"),
        (["text.mp4", "-o", "f.npy"], "text.mp4"),
        (["zero.mp4", "-o", "f.npy"], "zero.mp4"),
        (["good.mp4", "-o", "f.csv"], ".npy, .npz"),
        (["good.mp4", "-o", "."], "is a folder"),
        ([".", "-o", "f.npy"], "many videos"),
        (["good.mp4", "-o", "/proc/no/f.npy"], "Cannot write to /proc/no"),
        (["good.mp4", "-o", "f.npy", "--backbone", "resnet5000"], "Did you mean"),
        (["good.mp4", "-o", "f.npy", "--backbone", "no/such"], "no backbone at no/such"),
        (["good.mp4", "-o", "f.npy", "--device", "cuda:77"], "CUDA devices"),
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


@pytest.mark.parametrize(("flag", "value"), [("--fps", "0"), ("--every", "0"), ("--size", "2")])
def test_flags_out_of_range(tmp_path, capsys, flag, value):
    with pytest.raises(SystemExit) as exit_:
        extract("a.mp4", "-o", "f.npy", flag, value)
    assert exit_.value.code == 2
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
