"""``--engine torchrun``: real torchrun, two processes of the CPU in place of two GPUs."""

import signal
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
import torch
from child_processes import Process, until
from painted_videos import write_video
from written_dataset import dataset_in

from vidmoco.cli.main import main
from vidmoco.features import torchrun_engine
from vidmoco.features.torchrun_engine import num_gpus

WORDS = ["--backbone", "random:test_resnet", "--device", "cpu", "--workers", "1"]


def extract(videos, output, *words):
    return main(["extract", str(videos), "-o", str(output), *WORDS, *words])


def videos_in(folder):
    folder.mkdir()
    for number in range(4):
        write_video(folder / f"{number}.mp4", num_frames=5, first_index=10 * number)
    (folder / "bad.mp4").write_bytes(b"no video")
    return folder


def test_torchrun_extracts_what_this_process_would(tmp_path, monkeypatch, capfd):
    """A video that cannot be read is no crash, which torchrun would answer by ending all."""
    videos = videos_in(tmp_path / "videos")
    assert extract(videos, tmp_path / "local") == 1
    expected = capfd.readouterr().out
    monkeypatch.setattr(torchrun_engine, "num_gpus", lambda device: 2)
    assert extract(videos, tmp_path / "feats", "--engine", "torchrun") == 1
    printed = capfd.readouterr()
    assert "2 GPUs, a process for each" in printed.err and "Traceback" not in printed.err
    rows, manifest = dataset_in(tmp_path / "feats")
    assert (rows, manifest) == dataset_in(tmp_path / "local") and len(rows) == 20
    assert expected.endswith("4 extracted (20 rows), 0 were there already, 1 failed\n")
    *_, last = printed.out.splitlines()
    assert last.endswith("0 extracted (0 rows), 4 were there already, 1 failed")
    one, other = (int(line.partition(": ")[2].split()[0]) for line in printed.out.splitlines()[:-1])
    assert one + other == 4


def test_what_is_wrong_is_told_once_and_before(tmp_path, monkeypatch, capfd):
    videos = videos_in(tmp_path / "videos")
    assert extract(videos, tmp_path / "feats") == 1
    monkeypatch.setattr(torchrun_engine, "num_gpus", lambda device: 2)
    capfd.readouterr()
    assert extract(videos, tmp_path / "feats", "--engine", "torchrun", "--normalize") == 2
    error = capfd.readouterr().err
    assert "no --normalize, now --normalize" in error and "GPUs" not in error
    assert extract(videos / "0.mp4", tmp_path / "a.npy", "--engine", "torchrun") == 2
    assert "--engine torchrun is for many videos" in capfd.readouterr().err


def test_what_a_crash_leaves_is_extracted_here(tmp_path, monkeypatch, capfd):
    videos = videos_in(tmp_path / "videos")
    monkeypatch.setattr(torchrun_engine, "num_gpus", lambda device: 2)
    monkeypatch.setattr(torchrun_engine.sys, "executable", "/bin/false")
    assert extract(videos, tmp_path / "feats", "--engine", "torchrun", "--overwrite") == 1
    printed = capfd.readouterr()
    assert "ended with exit code 1. This process goes on with what is left." in printed.err
    assert "4 extracted (20 rows)" in printed.out


def processes_of_torchrun(parent=None):
    """The numbers of those that it has started, all or those of one parent."""
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            is_own = parent is None or f"PPid:\t{parent.pid}\n" in (path / "status").read_text()
            if is_own and b"torchrun_process" in (path / "cmdline").read_bytes():
                found.add(path.name)
    return found


STOPPED = """
import sys
from vidmoco.features import torchrun_engine
torchrun_engine.num_gpus = lambda device: 2
from vidmoco.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_processes_too(number, code, tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    write_video(videos / "0.mp4", num_frames=400)
    for other in range(1, 200):  # more than are extracted until the signal comes
        (videos / f"{other}.mp4").hardlink_to(videos / "0.mp4")
    output = tmp_path / "feats"
    words = ["extract", str(videos), "-o", str(output), "--engine", "torchrun", *WORDS]
    process = Process(["-c", STOPPED, *words])

    signs = output / "__vidmoco__" / "workers"
    # One of the processes has begun. This one signs for a moment before them.
    begun = partial(processes_of_torchrun, process)
    until(lambda: (set(signs.glob("?" * 8)) and begun()) or process.poll() is not None)
    children = begun()
    process.send_signal(number)
    assert process.wait() == code, process.err
    until(lambda: not children & processes_of_torchrun())
    assert "goes on" not in process.err


def test_the_end_of_the_terminal_does_not_end_what_nohup_has_started(tmp_path):
    videos, output = videos_in(tmp_path / "videos"), tmp_path / "feats"
    words = ["extract", str(videos), "-o", str(output), "--engine", "torchrun", *WORDS]
    ignored = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    process = Process(["-c", ignored + STOPPED, *words])
    until(lambda: processes_of_torchrun(process) or process.poll() is not None)
    process.send_signal(signal.SIGHUP)
    assert process.wait() == 1, process.err
    assert "4 were there already, 1 failed" in process.out
    assert "goes on" not in process.err


def test_one_gpu_or_none_needs_no_torchrun(tmp_path, monkeypatch, capfd):
    videos = videos_in(tmp_path / "videos")
    monkeypatch.setattr(torchrun_engine.sys, "executable", "/bin/false")
    assert extract(videos, tmp_path / "feats", "--engine", "torchrun") == 1
    assert "4 extracted (20 rows)" in capfd.readouterr().out
    assert num_gpus("cpu") == 0 and num_gpus("cuda:1") == 0
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert num_gpus("auto") == num_gpus("cuda") == 3


def test_in_a_process_of_torchrun_failed_videos_are_no_crash(tmp_path, monkeypatch, capfd):
    """Only the first process shows what it does; each says what it did."""
    videos = videos_in(tmp_path / "videos")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    monkeypatch.setenv("RANK", "1")
    assert extract(videos, tmp_path / "feats") == 0
    printed = capfd.readouterr()
    assert "4 extracted (20 rows), 0 were there already, 1 failed" in printed.out
    assert "Backbone" not in printed.err
