import json
import os
import shutil
import signal
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow.parquet as pq
import pytest
from child_processes import Process, until
from painted_videos import write_video
from shot_videos import write_scenes

from vidmoco.cli.main import main
from vidmoco.errors import ConfigError
from vidmoco.features import extract_command as command_module
from vidmoco.features import extract_here
from vidmoco.features.feature_set import open_features
from vidmoco.video.fetch import AHEAD


@pytest.fixture
def extract(backbone, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *words: main(["extract", *map(str, words), "--backbone", str(backbone)])


FILES = ("--format", "npy")


def times_of(path):
    return np.load(Path(path).with_suffix(".timestamps.npy")).round(6).tolist()


def sidecar_of(path):
    return json.loads(Path(path).with_suffix(".json").read_text())


def one_line(capsys):
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize(
    ("words", "times", "kept"),
    [
        ("--num-frames 3", [0.5, 1.5, 2.5], {"num_frames": 3}),
        ("--keyframes", [0.0, 1.2, 2.4], {"keyframes": True}),
        ("--times 2 0.55 2", [0.5, 2.0, 2.0], {"times": [2.0, 0.55, 2.0]}),
        ("--fps 2 --start 1 --end 2.5", [1.0, 1.5, 2.0], {"fps": 2.0, "start": 1.0, "end": 2.5}),
    ],
)
def test_selections_have_true_times_and_are_kept(extract, words, times, kept):
    write_video(Path("a.mp4"), num_frames=30)
    assert extract("a.mp4", "-o", "a.npy", *words.split()) == 0
    assert times_of("a.npy") == times
    sidecar = sidecar_of("a.npy")
    assert {key: sidecar[key] for key in kept} == kept


def test_the_sidecar_of_the_default_has_no_new_keys(extract):
    write_video(Path("a.mp4"), num_frames=3)
    assert extract("a.mp4", "-o", "a.npy") == 0
    assert list(sidecar_of("a.npy")) == [
        *("backbone", "architecture", "weights_hash", "preprocess", "precision", "fps", "every"),
        *("dtype", "dim", "source", "source_bytes", "source_mtime_ns", "decoder"),
        *("start_seconds", "damage", "vidmoco_version"),
    ]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("--num-frames 3", "no --num-frames, now --num-frames 3"),
        ("--keyframes", "no --keyframes, now --keyframes"),
        ("--start 0.1", "no --start, now --start 0.1"),
        ("--feature patches", "--feature pooled, now --feature patches"),
        ("--pool mean", "--pool none, now --pool mean"),
        ("--normalize", "no --normalize, now --normalize"),
        ("--size 64 --every 2", "--size 32, now --size 64; --every 1, now --every 2"),
    ],
)
def test_finished_files_of_another_selection_are_refused(extract, capsys, words, named):
    write_video(Path("v/a.mp4"), num_frames=4)
    assert extract("v", "-o", "feats", *FILES) == 0
    assert extract("v", "-o", "feats", *FILES) == 0
    assert "0 extracted, 1 were there already" in capsys.readouterr().out
    assert extract("v", "-o", "feats", *FILES, *words.split()) == 2
    assert f"was made with other settings: {named}. Give" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".npy", ".parquet"])
def test_patch_tokens_are_written_and_their_readers_refuse_them(extract, capsys, suffix):
    write_video(Path("a.mp4"), num_frames=3)
    output = Path(f"a{suffix}")
    words = ["a.mp4", "-o", output, "--size", 64, "--feature"]
    assert extract(*words, "patches") == 0
    assert f"a{suffix}: (3, 4, 512) float32" in capsys.readouterr().out
    if suffix == ".npy":
        patches = np.load(output)
    else:
        patches = np.array(pq.read_table(output)["feature"].to_pylist(), np.float32)
    assert patches.shape == (3, 4, 512)
    with pytest.raises(ConfigError, match=r"holds patch tokens; expected one vector per frame"):
        open_features(output)
    assert main(["explore", str(output), "-o", "explored"]) == 2
    assert "patch tokens" in one_line(capsys)
    assert extract(*words, "pooled") == 0
    (pooled,) = [rows for _, rows in open_features(output).pieces()]
    mean = patches.mean(1)
    np.testing.assert_allclose(
        pooled, mean / np.linalg.norm(mean, axis=1, keepdims=True), atol=1e-5
    )


def test_a_row_of_each_shot(extract, tmp_path):
    write_scenes(tmp_path / "a.mp4", 0, 1, 2)
    assert extract("a.mp4", "-o", "a.npy", "--scenes", "all", "--pool", "mean") == 0
    assert np.load("a.npy").shape == (3, 512)
    assert times_of("a.npy") == [0.0, 2.0, 4.0]
    assert sidecar_of("a.npy")["end_seconds"] == pytest.approx([2.0, 4.0, 6.0])
    with pytest.raises(ConfigError, match=r"pooled over frames \(--pool mean\)"):
        open_features(Path("a.npy"))


@pytest.mark.parametrize("random", ["", "random:"])
def test_the_backbone_is_found_from_another_folder(backbone, tmp_path, monkeypatch, capsys, random):
    (tmp_path / "runs").mkdir()
    shutil.copytree(backbone, tmp_path / "runs" / "b" / "backbone")
    (tmp_path / "runs" / "latest").symlink_to("b")
    write_video(tmp_path / "v" / "a.mp4", num_frames=5)
    monkeypatch.chdir(tmp_path)
    words = ["extract", "v", "-o", "f", "--device", "cpu", "--backbone"]
    assert main([*words, f"{random}runs/latest"]) == 0
    settings = json.loads(Path("f/__vidmoco__/dataset.json").read_text())
    assert settings["backbone"] == f"{random}{tmp_path.resolve()}/runs/b"
    # One of an older version is gone on with.
    settings["backbone"] = f"{random}runs/b"
    Path("f/__vidmoco__/dataset.json").write_text(json.dumps(settings))
    assert main([*words, f"{random}runs/b"]) == 0
    assert "0 extracted (0 rows), 1 were there already" in capsys.readouterr().out
    assert main([*words, f"{random}runs/b", "--overwrite"]) == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    search = ["search", "../f", "--query", "../v/a.mp4@0.1", "-o", "x.png", "--device", "cpu"]
    assert main(search) == 0
    (tmp_path / "runs" / "b").rename(tmp_path / "runs" / "c")
    assert main(search) == 2
    assert "Give its current place or name with --backbone" in capsys.readouterr().err


def test_several_folders_and_files_and_a_list(extract, capsys):
    for name in ("x/a.mp4", "y/deep/b.mp4", "c.mp4", "z/d.mp4"):
        write_video(Path(name), num_frames=2)
    Path("list.txt").write_text("z\n\nc.mp4\n")
    assert extract("x", "y", "@list.txt", "-o", "feats", *FILES, "--workers", 2) == 0
    written = {p.relative_to("feats").as_posix() for p in Path("feats").rglob("*.json")}
    assert written == {"a.mp4.json", "deep/b.mp4.json", "c.mp4.json", "d.mp4.json"}
    assert "4 extracted, 0 were there already, 0 failed" in capsys.readouterr().out


def test_equal_names_in_two_folders_stay_apart(extract, capsys):
    for name in ("day1/a.mp4", "day2/a.mp4", "p/day1/a.mp4"):
        write_video(Path(name), num_frames=2 if name[3] == "1" else 3)
    assert extract("day1", "day2", "-o", "feats", *FILES) == 0
    assert len(np.load("feats/day1/a.mp4.npy")) == 2
    assert len(np.load("feats/day2/a.mp4.npy")) == 3
    capsys.readouterr()
    assert extract("day1", "p/day1", "-o", "more", *FILES) == 2
    assert "2 videos of different folders would be named 'day1/a.mp4'" in one_line(capsys)
    assert not Path("more").exists()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a.mp4\ngone.mp4\n", "list.txt, line 2: there is no file or folder 'gone.mp4'"),
        ("\n", "The list of videos list.txt is empty"),
        (None, "Cannot read the list of videos list.txt"),
    ],
)
@pytest.mark.parametrize("command", ["extract", "prepare", "pretrain", "scan"])
def test_a_list_that_cannot_be_used(tmp_path, monkeypatch, capsys, command, content, expected):
    monkeypatch.chdir(tmp_path)
    write_video(Path("a.mp4"), num_frames=2)
    if content is not None:
        Path("list.txt").write_text(content)
    output = [] if command == "pretrain" else ["-o", "out.parquet" if command == "scan" else "out"]
    assert main([command, "@list.txt", *output]) == 2
    assert expected in one_line(capsys)


def test_times_of_each_video_from_a_file(extract, capsys, tmp_path):
    for name in ("a.mp4", "b.mp4", "c.mp4", "d.mp4"):
        write_video(Path("v") / name, num_frames=30)
    Path("times.csv").write_text(
        f"video,seconds\nb.mp4,2.05\na.mp4,1\nb.mp4,0\n{tmp_path / 'v' / 'c.mp4'},0.3\n"
    )
    assert extract("v", "-o", "feats", *FILES, "--times-file", "times.csv") == 0
    assert "3 extracted, 0 were there already, 0 failed, 1 not in times.csv" in (
        capsys.readouterr().out
    )
    assert times_of("feats/a.mp4.npy") == [1.0]
    assert times_of("feats/b.mp4.npy") == [0.0, 2.0]
    assert times_of("feats/c.mp4.npy") == [0.3]
    assert sidecar_of("feats/b.mp4.npy")["times"] == [0.0, 2.05]
    Path("times.csv").write_text("video,seconds\nb.mp4,2.5\n")
    assert extract("v", "-o", "feats", *FILES, "--times-file", "times.csv") == 2
    assert "with other settings: --times 0.0 2.05, now --times 2.5." in capsys.readouterr().err
    capsys.readouterr()
    assert extract("v/a.mp4", "-o", "a.npy", "--times-file", "times.csv") == 2
    assert "times.csv, row 1 names none of these videos: 'b.mp4'." in one_line(capsys)


def test_clips_that_end_after_their_video(extract, remote, capsys):
    write_video(Path("v/a.mp4"), num_frames=30)  # 3 s
    write_video(Path("v/b.mp4"), num_frames=30)
    url = "memory://shelf/a.mp4"
    remote.pipe_file("/shelf/a.mp4", Path("v/a.mp4").read_bytes())
    Path("clips.csv").write_text(
        "video,start,end\na.mp4,1,2\na.mp4,2.5,4\nb.mp4,1,2\nb.mp4,3.5,4\n"
    )
    words = ("--times-file", "clips.csv", "--num-frames", "2")
    assert extract("v", "-o", "feats", *FILES, *words) == 1
    printed = capsys.readouterr()
    assert "1 extracted, 0 were there already, 1 failed" in printed.out
    text = "b.mp4: it ends at 3.000 s, and its clip from 3.500 s to 4.000 s does not begin before"
    assert text in printed.err
    assert times_of("feats/a.mp4.npy") == [1.2, 1.7, 2.6, 2.8]
    sidecar = sidecar_of("feats/a.mp4.npy")
    assert (sidecar["num_frames"], sidecar["clips"]) == (2, [[1.0, 2.0], [2.5, 4.0]])
    Path("clips.csv").write_text(f"video,start,end\n{url},1,2\n{url},2.5,4\n")  # not known yet
    assert extract(url, "-o", "url.npy", *words) == 0
    assert times_of("url.npy") == [1.2, 1.7, 2.6, 2.8]
    Path("clips.csv").write_text("video,start,end\na.mp4,,2\n")
    assert extract("v/a.mp4", "-o", "feats", *FILES, *words) == 2
    assert "clips at 1-2 2.5-4, now clips at 0-2." in capsys.readouterr().err


def test_what_is_refused_is_counted_with_reasons(extract, capsys, tmp_path):
    write_video(Path("v/a.mp4"), num_frames=2)
    Path("v/text.mp4").write_text("not a video")
    (tmp_path / "elsewhere").mkdir()
    Path("v/link").symlink_to(tmp_path / "elsewhere")
    assert extract("v", "-o", "feats", *FILES) == 1
    printed = capsys.readouterr()
    assert "1 extracted, 0 were there already, 2 failed" in printed.out
    assert "'text.mp4': it is a text file" in printed.err
    assert "'link/': the link leads out of the folder (--follow-links" in printed.err


def test_a_url_is_fetched_and_deleted(extract, remote, capsys, tmp_path, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(
        command_module, "TemporaryDirectory", partial(TemporaryDirectory, dir=temporary)
    )
    write_video(Path("a.mp4"), num_frames=12)
    for name in ("a.mp4", "b.mp4"):
        remote.pipe_file(f"/shelf/{name}", Path("a.mp4").read_bytes())
    remote.pipe_file("/shelf/text.mp4", b"no video at all")
    assert extract("memory://shelf/a.mp4", "-o", "one.npy", "--every", 5) == 0
    assert times_of("one.npy") == [0.0, 0.5, 1.0]
    sidecar = sidecar_of("one.npy")
    assert sidecar["source"] == "memory://shelf/a.mp4"
    assert "source_mtime_ns" not in sidecar
    assert open_features(Path("one.npy")).files[0].name == "memory://shelf/a.mp4"
    capsys.readouterr()

    urls = [f"memory://shelf/{name}.mp4" for name in ("a", "text", "b", "gone")]
    assert extract(*urls, "a.mp4", "-o", "feats", *FILES) == 1
    printed = capsys.readouterr()
    assert "3 extracted, 0 were there already, 2 failed" in printed.out
    assert "'shelf/text.mp4': memory://shelf/text.mp4: it is a text file" in printed.err
    assert "memory://shelf/gone.mp4: it cannot be fetched: " in printed.err
    first = np.load("feats/shelf/a.mp4.npy")
    np.testing.assert_array_equal(first, np.load("feats/a.mp4.npy"))
    np.testing.assert_array_equal(first, np.load("feats/shelf/b.mp4.npy"))
    assert extract(*urls, "-o", "feats", *FILES) == 1
    assert "0 extracted, 2 were there already, 2 failed" in capsys.readouterr().out
    assert not list(temporary.iterdir())


@pytest.mark.parametrize("kind", ["npy", "parquet"])
def test_a_video_signed_anew_is_the_same_and_no_file_keeps_the_signature(
    extract, remote, capsys, kind
):
    write_video(Path("a.mp4"), num_frames=3)
    for day in ("first", "second"):
        url = f"memory://shelf/a.mp4?v=1&X-Amz-Signature=secret-{day}"
        remote.pipe_file(url, Path("a.mp4").read_bytes())
        words = [url, url.replace("a.mp4", "gone.mp4"), "-o", "feats", "--format", kind]
        assert extract(*words) == 1
        printed = capsys.readouterr()
        assert f"{int(day == 'second')} were there already, 1 failed" in printed.out
        assert "memory://shelf/gone.mp4?v=1: it cannot be fetched" in printed.err
        assert "secret" not in printed.out + printed.err
    for path in filter(Path.is_file, Path("feats").rglob("*")):
        assert b"secret" not in path.read_bytes()
    assert len(open_features(Path("feats")).files) == 1


def test_few_fetched_files_are_there_at_a_time(extract, remote, monkeypatch):
    write_video(Path("a.mp4"), num_frames=2)
    urls = [f"memory://shelf/{n}.mp4" for n in range(16)]
    for url in urls:
        remote.pipe_file(url, Path("a.mp4").read_bytes())
    counts = []
    honest = extract_here.fetched

    def noted(todo, folder, **options):
        for one in honest(todo, folder, **options):
            counts.append(len(list(folder.iterdir())))
            yield one

    monkeypatch.setattr(extract_here, "fetched", noted)
    assert extract(*urls, "-o", "feats", *FILES, "--workers", 1) == 0
    assert len(counts) == 16
    assert max(counts) <= 3 + AHEAD  # one of each ring, the one that is done, and the next ones


def test_the_longest_names_do_not_end_the_work(extract, capsys):
    """The file system holds 255 bytes, and each output adds some."""
    write_video(Path("v/a.mp4"), num_frames=3)
    names = ["x" * (n - 4) + ".mp4" for n in (200, 231, 236, 247, 255)] + ["\u00fc" * 125 + ".mp4"]
    names += ["y" * 251 + f".{suffix}" for suffix in ("mp4", "m4v")]
    for name in names:
        shutil.copy("v/a.mp4", Path("v") / name)
    os.utime("v/a.mp4", (2**33 * 1.3, 2**33 * 1.3))  # in the year 2323
    for suffix in (".npy", ".parquet"):
        output = suffix.strip(".")
        words = ["v", "-o", output, "--suffix", suffix]
        assert extract(*words) == 0
        assert extract(*words) == 0
        assert f"{output}: 0 extracted, 9 were there already, 0 failed" in capsys.readouterr().out
        found = open_features(Path(output)).files
        assert sorted(file.source.name for file in found) == sorted([*names, "a.mp4"])
        cut = [file for file in found if "~" in file.path.name]
        assert len(cut) == 7 and all(file.sidecar["name"] == file.source.name for file in cut)
    assert "name" not in sidecar_of("npy/a.mp4.npy")


@pytest.mark.slow
def test_a_scheduler_that_stops_it_loses_no_rows_and_finds_nothing_left_over(tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    write_video(videos / "0.mp4", num_frames=20)
    for other in range(1, 400):  # more than are extracted until the signal comes
        (videos / f"{other}.mp4").hardlink_to(videos / "0.mp4")
    folder = tmp_path / "feats"
    words = ["extract", str(videos), "-o", str(folder), "--backbone", "random:test_resnet"]
    process = Process(["-m", "vidmoco", *words], env={"TMPDIR": str(tmp_path)})
    claims = folder / "__vidmoco__" / "claims"
    # Some videos are claimed, so the first is done; its rows are in memory.
    until(lambda: len(list(claims.glob("*"))) > 3 or process.poll() is not None)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 143
    assert process.err.splitlines()[-1] == "vidmoco: stopped"
    assert not list(folder.glob("__vidmoco__/*/*"))
    assert not list(tmp_path.glob("vidmoco-*"))
    assert 20 <= open_features(folder).num_rows < 8000
