"""``extract --engine ray``: the numbers of a local one, whoever is killed.

More moments: ``VIDMOCO_FAULT_SEEDS=100 pytest tests/faults/test_kill_ray.py``.
"""

import json
import os
import random
import signal
import time
from contextlib import suppress

import pytest
from child_processes import Process, is_running, until
from ray_cluster import cluster
from written_dataset import dataset_in

from vidmoco.cli.main import main

SEEDS = range(max(1, int(os.environ.get("VIDMOCO_FAULT_SEEDS", "10")) // 10))  # two minutes each
RUN = "import sys\nfrom vidmoco.cli.main import main\nsys.exit(main(sys.argv[1:]))"


@pytest.fixture(scope="module")
def address():
    with cluster() as found:
        yield found


def words(material, output, *more):
    command = ["extract", str(material / "videos"), "-o", str(output), "--device", "cpu"]
    return [*command, "--backbone", str(material / "it"), "--batch-size", "4", *more]


@pytest.fixture(scope="module")
def local(material, tmp_path_factory):
    output = tmp_path_factory.mktemp("local") / "feats"
    assert main(words(material, output, "--workers", "1")) == 0
    return dataset_in(output)


def workers_of(output, *, but):
    """The numbers of the processes that have signed, without those of ``but``."""
    pids = set()
    for path in (output / "__vidmoco__" / "workers").glob("*"):
        try:
            pids.add(json.loads(path.read_text())["pid"])
        except (OSError, ValueError):  # it is being written, or has gone
            continue
    return pids - set(but)


def start(material, output, address):
    command = words(material, output, "--engine", "ray", "--ray-workers", "2")
    return Process(["-c", RUN, *command, "--ray-address", address])


def worker_of(output, driver, *, but=()):
    """Wait for a worker, and return the number of its process, or None if there is none to come."""
    pids = until(lambda: workers_of(output, but=[driver.pid, *but]) or driver.poll() is not None)
    return None if pids is True else min(pids)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_actor_costs_nothing_but_time(seed, material, address, local, tmp_path):
    output, generator, killed = tmp_path / "feats", random.Random(seed), []
    driver = start(material, output, address)
    for _ in range(3):
        pid = worker_of(output, driver, but=killed)
        if pid is None:
            break
        if killed:  # the first one is killed before it can have done its work
            time.sleep(generator.uniform(0.0, 1.0))
        with suppress(ProcessLookupError):  # it has done its work
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)
    assert driver.wait() == 0, driver.err
    assert dataset_in(output) == local
    assert killed and "another takes its place" in driver.err


@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_driver_is_resumed_by_the_same_command(seed, material, address, local, tmp_path):
    output, generator = tmp_path / "feats", random.Random(seed)
    driver = start(material, output, address)
    worker_of(output, driver)
    time.sleep(generator.uniform(0.0, 2.0))
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    # Ray ends its workers. One that is alive when all is done would keep its sign of life.
    until(lambda: not any(map(is_running, workers_of(output, but=[driver.pid]))))
    again = start(material, output, address)
    assert again.wait() == 0, again.err
    assert dataset_in(output) == local
