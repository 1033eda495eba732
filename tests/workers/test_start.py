import os
import subprocess
import sys
import threading
from operator import methodcaller

import pytest
from torch.utils.data import DataLoader, Dataset

from vidmoco.errors import ConfigError
from vidmoco.workers.pool import WorkerPool
from vidmoco.workers.start import _left_alone

SCRIPT = """
print("the script runs")
from operator import methodcaller
from torch.utils.data import DataLoader
from vidmoco.config.limits import DEFAULT_LIMITS
from vidmoco.workers.pool import WorkerPool
from vidmoco.workers.start import SPAWN

for with_torch in (False, True):
    with WorkerPool(
        methodcaller, ("upper",),
        workers=1, max_memory=2**30, max_seconds=DEFAULT_LIMITS.max_seconds,
        with_torch=with_torch,
    ) as pool:
        pool.give("worked")
        print(pool.wait()[0].value)
loader = DataLoader(range(4), num_workers=1, multiprocessing_context=SPAWN)
print([int(one) for one in loader])
print(__file__ == __import__("sys").argv[0])
"""


def test_a_script_needs_no_guard(tmp_path):
    """Processes do not run it again, whatever they are for."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    result = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env=os.environ, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        "the script runs", "WORKED", "WORKED", "[0, 1, 2, 3]", "True",
    ]  # fmt: skip


FORKED = """
import multiprocessing
from operator import methodcaller
from vidmoco.config.limits import DEFAULT_LIMITS
from vidmoco.workers.pool import WorkerPool

def work():
    with WorkerPool(
        methodcaller, ("upper",),
        workers=1, max_memory=2**30, max_seconds=DEFAULT_LIMITS.max_seconds,
        with_torch=True,
    ) as pool:
        pool.give("worked")
        print(pool.wait()[0].value, flush=True)

work()
forked = multiprocessing.get_context("fork").Process(target=work)
forked.start()
forked.join()
work()
server = multiprocessing.forkserver._forkserver  # what a fork forgets, whatever Python
print({"_forkserver_pid", "_forkserver_address", "_forkserver_alive_fd"} <= vars(server).keys())
"""


def test_a_fork_of_a_process_that_has_started_some_starts_its_own():
    result = subprocess.run(
        [sys.executable, "-c", FORKED], capture_output=True, text=True, env=os.environ, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["WORKED", "WORKED", "WORKED", "True"], result.stderr


def test_a_long_folder_of_temporary_files(tmp_path):
    """The name of a socket has at most 107 bytes."""
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    (tmp_path / "script.py").write_text(SCRIPT + "import tempfile; print(tempfile.gettempdir())")
    result = subprocess.run(
        [sys.executable, str(tmp_path / "script.py")],
        capture_output=True,
        text=True,
        env=os.environ | {"TMPDIR": str(folder)},
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[1:3] == ["WORKED", "WORKED"]
    assert result.stdout.splitlines()[-1] == str(folder)


def test_threads_that_start_processes_hide_the_script_one_after_the_other():
    """Else the second finds it hidden already, and leaves it so."""
    main, hidden, leave = sys.modules["__main__"], threading.Event(), threading.Event()
    before = {name: vars(main).get(name) for name in ("__file__", "__spec__")}

    def start():
        with _left_alone():
            hidden.set()
            leave.wait()

    thread = threading.Thread(target=start)
    with _left_alone():
        thread.start()
        assert not hidden.wait(0.5)
    leave.set()
    thread.join()
    assert hidden.is_set()
    assert {name: vars(main).get(name) for name in before} == before


@pytest.mark.skipif(sys.platform != "linux", reason="forks only on Linux")
def test_the_fork_server_starts_ahead_and_signals_to_the_job_do_not_end_it():
    code = """
import multiprocessing.forkserver as forkserver
import os
import signal
from operator import methodcaller
from vidmoco.config.limits import DEFAULT_LIMITS
from vidmoco.workers.pool import WorkerPool
from vidmoco.workers.start import start_fork_server
start_fork_server()
pid = forkserver._forkserver._forkserver_pid
for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
    os.kill(pid, number)
with WorkerPool(
    methodcaller, ("upper",), workers=1, max_memory=2**30,
    max_seconds=DEFAULT_LIMITS.max_seconds, with_torch=True,
) as pool:
    pool.give("worked")
    print(pool.wait()[0].value, pid == forkserver._forkserver._forkserver_pid, pid is not None)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "WORKED True True\n"
    assert not done.stderr


class _Asked(Dataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        with WorkerPool(
            methodcaller, ("upper",), workers=1, max_memory=2**30, max_seconds=60.0
        ) as pool:
            pool.give("worked")
            return pool.wait()[0].value


def test_a_process_that_may_have_no_children_is_told_so():
    with pytest.raises(ConfigError, match=r"process of a DataLoader.*num_workers=0"):
        next(iter(DataLoader(_Asked(), num_workers=1)))
