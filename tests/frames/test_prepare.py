import fcntl
import json
import os
import re
import shutil
import signal
import tarfile
from pathlib import Path

import numpy as np
import pytest
from child_processes import Process, until
from painted_videos import read_index, write_video

from vidmoco.cli.main import main
from vidmoco.frames import prepare as prepare_module
from vidmoco.frames import shard_writer
from vidmoco.frames import writer as frame_writer
from vidmoco.frames.index import write_index
from vidmoco.frames.key import KEY_FILE
from vidmoco.frames.labels import names_of
from vidmoco.frames.prepared import open_prepared
from vidmoco.frames.store import open_index
from vidmoco.frames.writer import build_frame_writer
from vidmoco.video.scan import scan_videos
from vidmoco.workers.pool import Report

NUM_VIDEOS = 6


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Frame i of video v spells 100 v + i; 10 fps."""
    folder = tmp_path_factory.mktemp("videos")
    for number in range(NUM_VIDEOS):
        name = f"v{number}.{'ts' if number == 2 else 'mp4'}"
        write_video(folder / "deep" / name, num_frames=20, first_index=100 * number)
    return folder


@pytest.fixture
def videos(originals, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(originals, tmp_path / "videos")
    return tmp_path / "videos"


class Here:
    """A pool whose work is done in this process, which need not be started."""

    def __init__(self, build, args, **options):
        self._do = build(*args)

    def __class_getitem__(cls, item):
        return cls

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def map(self, jobs):
        for job in jobs:
            yield Report(job, self._do(job))


@pytest.fixture
def here(monkeypatch):
    monkeypatch.setattr(prepare_module, "WorkerPool", Here)


def prepare(videos, *words, output="frames"):
    words = ["--fps", "5", "--workers", "1", *words]
    try:
        return main(["prepare", str(videos), "-o", str(output), *words])
    except SystemExit as exit:  # a flag out of range
        return exit.code


def content(folder="frames"):
    """Return (name, milliseconds, what is spelled) of all frames, read as training reads them."""
    frames = open_prepared(Path(folder))
    return [
        (
            video.name,
            round(frames.columns["pts_seconds"][frame] * 1000),
            read_index(frames.read(frame).permute(1, 2, 0).numpy()),
        )
        for number, video in enumerate(frames.videos)
        for frame in range(frames.firsts[number], frames.firsts[number + 1])
    ]


EXPECTED = [
    (f"deep/v{number}.{'ts' if number == 2 else 'mp4'}", 200 * i, 100 * number + 2 * i)
    for number in range(NUM_VIDEOS)
    for i in range(10)
]


def test_frames_are_those_of_the_videos(videos, capsys):
    assert prepare(videos) == 0
    assert content() == EXPECTED
    out = capsys.readouterr().out
    assert "frames: 60 frames of 6 videos" in out
    assert " MB in 1 shard, " in out
    assert re.search(
        r"A pair of frames takes \d\.\d\d ms of CPU time from here, and \d+\.\d\d ms", out
    )
    assert {path.name for path in Path("frames").iterdir()} == {
        "frames.json", "frames-1.parquet", "videos-1.parquet", "shards"
    }  # fmt: skip


def test_shards_are_tar_files_of_samples(here, videos):
    assert prepare(videos, "--shard-mib", "0.05") == 0
    shards = sorted(Path("frames/shards").iterdir())
    assert len(shards) >= 2
    assert all(shard.stat().st_size < 0.08 * 2**20 for shard in shards)
    names = []
    for shard in shards:
        with tarfile.open(shard) as tar:  # and not `r:` with ignored zeros: they end as they must
            for member in tar:
                names.append(member.name)
                assert tar.extractfile(member).read(3) == b"\xff\xd8\xff"
    assert names == [f"{name}/{i:06d}.jpg" for name, i in zip(
        [name for name, _, _ in EXPECTED], list(range(10)) * NUM_VIDEOS, strict=True
    )]  # fmt: skip


def test_the_index_is_a_table_for_everyone(here, videos):
    rows = "path,room,extra\n" + "".join(
        f"deep/v{n}.{'ts' if n == 2 else 'mp4'},room {n % 2},é\n" for n in range(NUM_VIDEOS - 1)
    )
    Path("labels.csv").write_text(rows, encoding="utf-8")
    assert prepare(videos, "--labels", "labels.csv") == 0
    table = open_index(Path("frames")).frames
    assert table["video"].to_pylist() == [name for name, _, _ in EXPECTED]
    assert table["room"].to_pylist() == [
        f"room {n % 2}" if n < 5 else "" for n in range(NUM_VIDEOS) for _ in range(10)
    ]
    row = table.slice(23, 1).to_pylist()[0]
    shard = Path(f"frames/shards/{row['shard']:06d}.tar").read_bytes()
    assert shard[row["offset"] :][:2] == b"\xff\xd8"
    assert shard[row["offset"] + row["length"] - 2 :][:2] == b"\xff\xd9"
    assert prepare(videos) == 0  # again, without labels: they stay
    assert open_index(Path("frames")).frames.equals(table)


def test_a_second_run_decodes_what_is_new_or_has_changed(here, videos, monkeypatch, capsys):
    assert prepare(videos) == 0
    first = Path("frames/shards/000000.tar").read_bytes()
    write_video(videos / "deep/v1.mp4", num_frames=10, first_index=900)
    write_video(videos / "new.mp4", num_frames=10, first_index=800)
    (videos / "deep/v3.mp4").unlink()
    capsys.readouterr()
    assert prepare(videos) == 0
    expected = [row for row in EXPECTED if "v1" not in row[0] and "v3" not in row[0]]
    expected += [("deep/v1.mp4", 200 * i, 900 + 2 * i) for i in range(5)]
    expected += [("new.mp4", 200 * i, 800 + 2 * i) for i in range(5)]
    assert content() == sorted(expected)
    assert Path("frames/shards/000000.tar").read_bytes() == first
    with tarfile.open("frames/shards/000001.tar") as tar:
        assert len(tar.getnames()) == 10
    assert "frames of videos that have changed" in capsys.readouterr().out
    assert prepare(videos) == 0  # nothing to do
    assert content() == sorted(expected)
    assert len(list(Path("frames/shards").iterdir())) == 2


@pytest.mark.parametrize("kept", [0.0, 0.2, 0.5, 0.93, 1.0])
def test_after_an_end_at_any_byte_it_goes_on(here, videos, monkeypatch, kept):
    """As a kill leaves it: the journal cut anywhere, and more in the shard than it says."""

    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(prepare_module, "write_index", stop)
    assert prepare(videos, "--shard-mib", "0.05") == 130
    assert not Path("frames", KEY_FILE).exists()
    journal = Path("frames/journal.jsonl")
    data = journal.read_bytes()
    header = data.index(b"\n") + 1
    journal.write_bytes(data[: header + int((len(data) - header) * kept)])
    with sorted(Path("frames/shards").iterdir())[-1].open("ab") as file:
        file.write(b"half a picture")
    monkeypatch.setattr(prepare_module, "write_index", write_index)
    assert prepare(videos, "--shard-mib", "0.05") == 0
    assert content() == EXPECTED
    for shard in Path("frames/shards").iterdir():
        with tarfile.open(shard) as tar:
            assert len(set(tar.getnames())) == len(tar.getnames())
    assert not Path("frames/journal.jsonl").exists()


STOPS = """
import sys, time
from vidmoco.cli.main import main
from vidmoco.frames import shard_writer
add = shard_writer.ShardWriter.add
def add_some(writer, *video):
    add(writer, *video)
    if len(writer.entries) == 5:
        writer.sync()
    if len(writer.entries) == 8:
        time.sleep(1e6)
shard_writer.ShardWriter.add = add_some
main(sys.argv[1:])
"""


def test_a_killed_process(videos):
    """A real one, while it writes."""
    for number in range(10, 30):
        write_video(videos / f"v{number}.mp4", num_frames=60, first_index=100 * number)
    words = ["prepare", str(videos), "-o", "frames", "--fps", "5", "--workers", "1"]
    process = Process(["-c", STOPS, *words])
    journal = Path("frames/journal.jsonl")
    until(
        lambda: (
            process.poll() is not None
            or (journal.exists() and journal.read_bytes().count(b"\n") >= 5)
        )
    )
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not Path("frames", KEY_FILE).exists()
    noted = journal.read_bytes().count(b"\n") - 1
    assert 0 < noted < 26
    assert prepare(videos) == 0
    rows = content()
    assert [row for row in rows if row[0].startswith("deep")] == EXPECTED
    assert len(rows) == 60 + 20 * 30
    assert all(spelled % 100 == ms // 100 for _, ms, spelled in rows)


def test_two_at_once(here, videos, capsys):
    Path("frames").mkdir()
    with Path("frames/.vidmoco.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert prepare(videos) == 2
    assert "Another process is preparing frames into frames" in capsys.readouterr().err
    assert prepare(videos) == 0


def test_other_settings_are_another_folders(here, videos, monkeypatch, capsys):
    assert prepare(videos) == 0
    assert prepare(videos, "--quality", "50") == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "vidmoco: frames was prepared with --quality 90, and this command has --quality 50. Give "
        "--quality 90, or another folder with -o."
    )

    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(prepare_module, "write_index", stop)
    assert prepare(videos, output="other") == 130
    assert prepare(videos, "--quality", "50", output="other") == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "vidmoco: other holds an unfinished run with --quality 90, and this command has --quality "
        "50. Give --quality 90, or another folder with -o."
    )


@pytest.mark.parametrize("after", [0, 3])
def test_a_full_disk(here, videos, monkeypatch, capsys, after):
    copy, count = shutil.copyfileobj, iter(range(100))

    def full(source, target, length):
        if next(count) >= after:
            target.write(source.read(1000))
            raise OSError(28, "No space left on device")
        copy(source, target, length)

    monkeypatch.setattr(shard_writer.shutil, "copyfileobj", full)
    assert prepare(videos) == 2
    error = capsys.readouterr().err
    assert "No space left on device" in error
    assert "give the same command again" in error
    monkeypatch.setattr(shard_writer.shutil, "copyfileobj", copy)
    assert prepare(videos) == 0
    assert content() == EXPECTED


def test_a_full_disk_of_the_workers(here, videos, monkeypatch, capsys):
    monkeypatch.setattr(prepare_module, "build_frame_writer", build_full)
    assert prepare(videos) == 2
    assert (
        "vidmoco: frames/pieces cannot be written: No space left on device."
        in capsys.readouterr().err
    )


def build_full(settings, limits):
    def write(job):
        return frame_writer.PreparedVideo(
            cannot_write=f"{job.piece.parent} cannot be written: No space left on device."
        )

    return write


def test_what_cannot_be_read_is_listed(here, videos, capsys):
    (videos / "text.mp4").write_text("no video")
    assert prepare(videos) == 1
    captured = capsys.readouterr()
    assert "text.mp4: it is a text file" in " ".join(captured.err.split())
    assert "Refused: 1 of " in captured.err.splitlines()[-1]
    assert content() == EXPECTED


def test_frames_of_videos_that_are_out_of_reach_for_a_while_stay(here, videos, capsys):
    write_video(videos / "near.mp4", num_frames=4)
    assert prepare(videos) == 0
    before = content()
    (videos / "deep").rename("away")
    (videos / "deep").symlink_to("../away")  # as a folder that cannot be entered: it is refused
    assert prepare(videos) == 1
    assert "the link leads out of the folder" in capsys.readouterr().err
    assert content() == before
    status = (videos / "near.mp4").stat()
    (videos / "near.mp4").write_bytes(bytes(status.st_size))  # the disk gives nothing, at any size
    os.utime(videos / "near.mp4", ns=(0, status.st_mtime_ns))
    write_video(videos / "new.mp4", num_frames=2)
    assert prepare(videos) == 1
    assert [one for one in content() if one[0] != "new.mp4"] == before
    # One that has changed, and those that are not wanted any more, go.
    (videos / "near.mp4").write_bytes(b"no video")
    assert prepare(videos) == 1
    assert {name.partition("/")[0] for name, *_ in content()} == {"deep", "new.mp4"}
    assert prepare(videos, "--max-frames", "3", "--follow-links") == 1
    assert {name for name, *_ in content()} == {"new.mp4"}


def test_a_video_that_kills_its_process_costs_itself(videos, monkeypatch, capsys):
    monkeypatch.setattr(prepare_module, "build_frame_writer", build_dying)
    assert prepare(videos) == 1
    assert "'deep/v4.mp4': its decoder crashed (SIGKILL" in capsys.readouterr().err
    assert content() == [row for row in EXPECTED if "v4" not in row[0]]
    monkeypatch.setattr(prepare_module, "WorkerPool", Here)
    monkeypatch.setattr(prepare_module, "build_frame_writer", build_frame_writer)
    assert prepare(videos) == 0
    assert content() == EXPECTED


def build_dying(settings, limits):
    write = frame_writer.build_frame_writer(settings, limits)

    def write_or_die(job):
        if "v4" in job.name:
            os.kill(os.getpid(), signal.SIGKILL)
        return write(job)

    return write_or_die


def test_dropped_frames_are_counted(here, videos, capsys):
    assert prepare(videos, "--min-change", "255") == 0
    assert "Dropped: 54 unchanged" in capsys.readouterr().out
    assert len(content()) == 6
    assert json.loads(open_index(Path("frames")).videos[0].dropped) == {"unchanged": 9}


@pytest.fixture(scope="module")
def black_video(tmp_path_factory):
    path = tmp_path_factory.mktemp("black") / "black.mp4"
    write_video(path, num_frames=20, white=(0, 0, 0))
    return path


def test_new_videos_of_which_nothing_is_kept(here, videos, black_video, capsys):
    assert prepare(videos, "--drop-black") == 0
    shutil.copy(black_video, videos)
    for _ in range(2):
        assert prepare(videos, "--drop-black") == 0
        assert "60 frames of 7 videos" in capsys.readouterr().out
        assert content() == EXPECTED
    write_video(videos / "more.mp4", num_frames=10, first_index=800)
    assert prepare(videos, "--drop-black") == 0
    assert len(content()) == 65


def test_a_first_run_of_which_nothing_is_kept(here, videos, black_video, capsys):
    for _ in range(2):
        assert prepare(black_video.parent, "--drop-black") == 2
        captured = capsys.readouterr()
        assert "Dropped: 10 black" in captured.out
        assert captured.err.splitlines()[-1].startswith(
            "vidmoco: frames holds no frames: all frames"
        )
    shutil.copy(black_video, videos)
    assert prepare(videos, "--drop-black") == 0
    assert content() == EXPECTED


def test_a_folder_of_the_users_is_left_alone(here, videos, capsys):
    for name in ("pieces/mine.txt", "shards/000000.tar", "notes.txt", "a", "frames-1.parquet"):
        Path("mine", name).parent.mkdir(parents=True, exist_ok=True)
        Path("mine", name).write_text(name)
    assert prepare(videos, output="mine") == 2
    assert capsys.readouterr().err == (
        "vidmoco: mine is not empty, and holds no prepared frames. It holds 'a', "
        "'frames-1.parquet', 'notes.txt' and 2 more. Give a new folder with -o.\n"
    )
    names = {str(path.relative_to("mine")) for path in Path("mine").rglob("*") if path.is_file()}
    assert names == {"pieces/mine.txt", "shards/000000.tar", "notes.txt", "a", "frames-1.parquet"}
    assert all(Path("mine", name).read_text() == name for name in names)


def test_what_lies_beside_prepared_frames_is_left_alone(here, videos):
    assert prepare(videos) == 0
    Path("frames/pieces").mkdir()
    Path("frames/pieces/mine.txt").touch()
    Path("frames/pieces/7.tar").touch()  # as a killed run leaves it
    Path("frames/frames-7.parquet").touch()
    Path("frames/videos-1.csv").touch()
    assert prepare(videos) == 0
    assert {path.name for path in Path("frames").iterdir()} == {
        "frames.json", "frames-1.parquet", "videos-1.parquet", "shards", "pieces",
        "videos-1.csv",
    }  # fmt: skip
    assert [path.name for path in Path("frames/pieces").iterdir()] == ["mine.txt"]


def test_a_folder_that_is_up_to_date_stays_as_it_is(here, videos):
    assert prepare(videos) == 0
    before = Path("frames", KEY_FILE).read_bytes()
    assert prepare(videos) == 0
    assert Path("frames", KEY_FILE).read_bytes() == before
    rows = "path,room\n" + "".join(f"{name},kitchen\n" for name, _, _ in EXPECTED[::10])
    Path("labels.csv").write_text(rows)
    assert prepare(videos, "--labels", "labels.csv") == 0
    assert Path("frames", KEY_FILE).read_bytes() != before


@pytest.mark.parametrize(
    ("harm", "state"),
    [
        (lambda path: path.unlink(), "is missing"),
        (lambda path: os.truncate(path, 5000), "has 5,000 bytes, expected"),
    ],
)
def test_videos_whose_shard_is_harmed_are_prepared_again(here, videos, harm, state, capsys):
    assert prepare(videos, "--shard-mib", "0.05") == 0
    shards = sorted(path.name for path in Path("frames/shards").iterdir())
    content_before = json.loads(Path("frames", KEY_FILE).read_text())["content"]
    harmed = Path("frames/shards/000001.tar")
    harm(harmed)
    capsys.readouterr()
    assert prepare(videos) == 0
    captured = capsys.readouterr()
    line = next(line for line in captured.err.splitlines() if "shards/000001.tar" in line)
    assert line.startswith(f"frames/shards/000001.tar {state}")
    assert line.endswith("Its videos are prepared again.")
    assert content() == EXPECTED
    with tarfile.open(f"frames/shards/{len(shards):06d}.tar") as tar:
        assert 0 < len(tar.getnames()) < 60  # those alone
    assert json.loads(Path("frames", KEY_FILE).read_text())["content"] == content_before
    assert not harmed.exists()  # tar files end as they must
    assert prepare(videos) == 0
    assert "prepared again" not in capsys.readouterr().err


def test_labels_stay_when_a_shard_is_harmed(here, videos):
    rows = "path,room\n" + "".join(f"{name},in {name}\n" for name, _, _ in EXPECTED[::10])
    Path("labels.csv").write_text(rows)
    assert prepare(videos, "--shard-mib", "0.05", "--labels", "labels.csv") == 0
    Path("frames/shards/000000.tar").unlink()
    assert prepare(videos) == 0
    table = open_index(Path("frames")).frames
    assert table["room"].to_pylist() == [f"in {name}" for name, _, _ in EXPECTED]


def test_a_harmed_shard_whose_video_cannot_be_read_any_more(videos, here, monkeypatch):
    assert prepare(videos, "--shard-mib", "0.001") == 0  # a video a shard
    os.truncate("frames/shards/000004.tar", 5000)

    def fail(self, jobs):
        return (Report(job, None, "it is broken") for job in jobs)

    monkeypatch.setattr(Here, "map", fail)
    assert prepare(videos) == 1
    assert content() == [row for row in EXPECTED if "v4" not in row[0]]
    assert Path("frames/shards/000004.tar").exists()


def test_labels_of_other_videos(here, videos, capsys):
    Path("labels.csv").write_text("path,room\nv0.mp4,kitchen\n")
    assert prepare(videos, "--labels", "labels.csv") == 2
    error = capsys.readouterr().err
    assert "labels.csv names none of these videos in its column 'path': it has 'v0.mp4'" in error
    assert "a video is called 'deep/v0.mp4'" in error
    assert not Path("frames").exists()
    Path("labels.csv").write_text("path,room\n")
    assert prepare(videos, "--labels", "labels.csv") == 2
    assert "has no rows below its first line" in capsys.readouterr().err


def test_a_key_that_cannot_be_read(here, videos, capsys):
    Path("frames", KEY_FILE).mkdir(parents=True)
    assert prepare(videos) == 2
    error = capsys.readouterr().err
    assert "frames/frames.json cannot be read:" in error
    assert "directory" in error
    assert len(error.splitlines()) == 1


def test_names_of_several_folders(here, videos, tmp_path, capsys):
    shutil.copytree(videos, tmp_path / "more")
    both = scan_videos([videos, tmp_path / "more"], workers=1, progress=False)
    names = names_of(both)
    assert sorted(names) == sorted(
        f"{root}/{key}" for root in ("videos", "more") for key in {row[0] for row in EXPECTED}
    )
    shutil.copytree(videos, tmp_path / "other" / "videos")
    words = [str(tmp_path / "other" / "videos"), "-o", "frames", "--workers", "1"]
    assert main(["prepare", str(videos), *words]) == 2
    assert "videos of different folders would be named 'videos/deep/v" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["none/", "frames"], ["none", "No such"]),
        (["videos", "videos/deep/v0.mp4"], ["v0.mp4"]),
        (["videos", "frames", "--fps", "0"], ["--fps is 0", "greater than 0"]),
        (["videos", "frames", "--quality", "101"], ["--quality is 101", "from 1 to 100"]),
        (["videos", "frames", "--labels", "none.csv"], ["none.csv"]),
        (["videos", "frames", "--labels", "bad.csv"], ["no column 'path'", "Path"]),
        (["videos", "frames", "--labels", "twice.csv"], ["names a video twice"]),
        (["videos", "frames", "--labels", "taken.csv"], ["'offset'", "already"]),
        (["text.mp4", "frames"], ["None of these videos can be read"]),
    ],
)
def test_mistakes(videos, capsys, words, expected):
    Path("bad.csv").write_text("Path,label\na,b\n")
    Path("twice.csv").write_text("path,label\na,b\na,c\n")
    Path("taken.csv").write_text("path,offset\na,1\n")
    Path("text.mp4").write_text("no video")
    source, output, *words = words
    assert prepare(source, *words, output=output) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert all(piece in error for piece in expected), error
    assert "Traceback" not in error
    assert not Path("frames").exists()


def test_all_frames(here, videos):
    assert prepare(videos, "--fps", "None") == 0
    spelled = [row[2] for row in content()]
    assert spelled == [100 * n + i for n in range(NUM_VIDEOS) for i in range(20)]
    assert np.all(np.diff(open_prepared(Path("frames")).firsts) == 20)
