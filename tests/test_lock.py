"""Two processes that want one folder: one gets it, and a crash gives it back."""

import re
import signal
import threading
import time
from pathlib import Path

import pytest
from child_processes import Process, until
from painted_videos import write_videos
from tiny_run import TINY, numbers

from vidmoco import run_folder
from vidmoco.cli.main import main
from vidmoco.errors import ConfigError
from vidmoco.lock import LOCK, held, is_held
from vidmoco.run_folder import claimed, make_new_folder, new_run_folder


@pytest.fixture(autouse=True)
def somewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def command(tmp_path):
    write_videos(tmp_path / "videos", 8)
    assert main(["scan", "videos"]) == 0
    return ["-m", "vidmoco", "pretrain", "videos", *TINY]


def test_of_two_at_once_one_trains(command, tmp_path):
    pair = [Process([*command, "--run", "run", "--steps", "4"]) for _ in range(2)]
    codes = [process.wait() for process in pair]
    assert sorted(codes) == [0, 2], [process.err for process in pair]
    refused = pair[codes.index(2)].err
    assert re.search(
        r"Another training is writing to run \(process \d+ on .+\)\. Wait|run is not empty", refused
    )
    assert [line["step"] for line in numbers(tmp_path / "run")] == [1, 2, 3, 4]
    assert not (tmp_path / "run" / LOCK).exists()


def test_names_of_runs_that_begin_at_once_differ(command, tmp_path):
    pair = [Process([*command, "--steps", "1"]) for _ in range(2)]
    assert [process.wait() for process in pair] == [0, 0], [process.err for process in pair]
    for number in (1, 2):
        assert len(numbers(tmp_path / "runs" / f"tiny_cpu-{number}")) == 1


def test_a_run_that_goes_on_is_not_resumed_before_it_is_killed(command, tmp_path, capsys):
    first = Process([*command, "--run", "run", "--steps", "1000000"])
    until(lambda: (tmp_path / "run" / "metrics.jsonl").exists() or first.poll())
    resume = ["pretrain", "--run", "run", "--resume", "--steps"]
    capsys.readouterr()
    assert main([*resume, "2"]) == 2
    assert "Another training is writing to run (process" in capsys.readouterr().err
    assert main(["pretrain", "videos", *TINY, "--run", "run"]) == 2
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert (tmp_path / "run" / LOCK).exists()
    assert main([*resume, "2"]) == 0
    assert [line["step"] for line in numbers(tmp_path / "run")] == [1, 2]


def test_a_folder_that_is_let_go_is_taken_by_one_of_many(tmp_path):
    folder, inside, most, refused = tmp_path / "run", [], [], []

    def want():
        for _ in range(50):
            try:
                with held(folder, busy="Busy:", advice="or not."):
                    inside.append(1)
                    time.sleep(0.001)  # others try meanwhile
                    most.append(len(inside))
                    inside.pop()
            except ConfigError as error:
                refused.append(str(error))

    threads = [threading.Thread(target=want) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(most) == {1}
    assert all(text.startswith(f"Busy: {folder}") for text in refused)
    assert not folder.exists()


def test_whether_a_folder_is_held(tmp_path):
    (tmp_path / "kept").touch()
    assert not is_held(tmp_path / "none") and not is_held(tmp_path)
    with held(tmp_path, busy="", advice=""):
        assert is_held(tmp_path)
    (tmp_path / LOCK).touch()  # its holder was killed
    assert not is_held(tmp_path)


def test_a_start_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), claimed(Path("a/run"), resume=False):
        raise RuntimeError
    assert not Path("a/run").exists()
    Path("mine").mkdir()
    Path("mine/x").write_text("")
    with pytest.raises(ConfigError, match="mine is not empty"), claimed(Path("mine"), resume=False):
        pass
    assert [path.name for path in Path("mine").iterdir()] == ["x"]


def test_a_disk_without_locks_is_told(tmp_path, no_locks):
    with claimed(tmp_path / "run", resume=False) as warning:
        assert "has no locks (No locks available): see to it" in warning


def test_names_are_taken_in_order(tmp_path):
    assert [new_run_folder("x/slow.yaml").name for _ in range(3)] == ["slow-1", "slow-2", "slow-3"]
    run_folder.RUNS.joinpath("slow-2").rmdir()
    assert new_run_folder("slow").name == "slow-2"
    Path("file").write_text("")
    with pytest.raises(ConfigError, match=r"file/x cannot be written: .*or give another -o"):
        make_new_folder([Path("file/x")], flag="-o")
