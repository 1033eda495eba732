"""``extract --engine ray``: the numbers of a local one, whoever is killed.

More moments: ``VIDMOCO_FAULT_SEEDS=20 pytest tests/faults/test_kill_ray.py``.
"""

import json
import os
import random
import signal
import threading
import time

import pyarrow.parquet as pq
import pytest
from child_processes import Process, until
from painted_videos import write_video
from ray_cluster import cluster

from vidmoco.backbones.build import build_backbone, save_backbone
from vidmoco.cli.main import main

SEEDS = range(int(os.environ.get("VIDMOCO_FAULT_SEEDS", "2")))
LENGTHS = (3, 40, 8, 5, 64, 2, 12, 7)
RUN = "import sys\nfrom vidmoco.cli.main import main\nsys.exit(main(sys.argv[1:]))"


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ray")
    for number, length in enumerate(LENGTHS):
        name = f"{'deep/' * (number % 2)}{number}.mp4"
        write_video(folder / "videos" / name, first_index=100 * number, num_frames=length)
    save_backbone(build_backbone("test_resnet", size=32), folder / "it", input_size=32,
                  provenance={})  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def address():
    with cluster() as found:
        yield found


def words(material, output, *more):
    command = ["extract", str(material / "videos"), "-o", str(output), "--device", "cpu"]
    return [*command, "--backbone", str(material / "it"), "--batch-size", "4", *more]


def on_ray(material, output, *more):
    return words(material, output, "--engine", "ray", "--ray-workers", "2", *more)


def found_in(output):
    tables = [pq.read_table(path) for path in output.glob("part-*.parquet")]
    rows = [row for table in tables for row in table.to_pylist()]
    manifest = pq.read_table(output / "__vidmoco__" / "manifest.parquet").to_pylist()
    inside = {path.name for path in (output / "__vidmoco__").iterdir()}
    assert inside == {"dataset.json", "manifest.parquet"}
    return (
        sorted(rows, key=lambda row: (row["video"], row["frame"])),
        [(row["video"], row["state"], row["rows"]) for row in manifest],
    )


@pytest.fixture(scope="module")
def local(material, tmp_path_factory):
    output = tmp_path_factory.mktemp("local") / "feats"
    assert main(words(material, output, "--workers", "1")) == 0
    return found_in(output)


def workers_of(output, *, but):
    """The numbers of the processes that have signed, without those of ``but``."""
    pids = set()
    for path in (output / "__vidmoco__" / "workers").glob("*"):
        try:
            pids.add(json.loads(path.read_text())["pid"])
        except (OSError, ValueError):  # it is being written, or has gone
            continue
    return pids - set(but)


def kill_workers(output, generator, times, killed):
    """Kill one worker after the other, at any moment of its work."""
    for _ in range(times):
        ends = time.monotonic() + 120
        while not (pids := workers_of(output, but=[os.getpid(), *killed])):
            if time.monotonic() > ends:
                return
            time.sleep(0.01)
        time.sleep(generator.uniform(0.0, 1.5))
        pid = generator.choice(sorted(pids))
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:  # it had done its work
            return
        killed.append(pid)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_actor_costs_nothing_but_time(seed, material, address, local, tmp_path, capsys):
    output, killed = tmp_path / "feats", []
    killer = threading.Thread(
        target=kill_workers, args=(output, random.Random(seed), 3, killed), daemon=True
    )
    killer.start()
    assert main(on_ray(material, output)) == 0
    killer.join()
    assert found_in(output) == local
    assert killed
    printed = capsys.readouterr()
    assert "8 extracted (141 rows)" in printed.out or "by other processes" in printed.out


@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_driver_is_resumed_by_the_same_command(
    seed, material, address, local, tmp_path, capsys
):
    output, generator = tmp_path / "feats", random.Random(seed)
    driver = Process(["-c", RUN, *on_ray(material, output, "--ray-address", address)])
    until(lambda: workers_of(output, but=[driver.pid]) or driver.poll() is not None)
    time.sleep(generator.uniform(0.0, 2.0))
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    assert main(on_ray(material, output)) == 0
    assert found_in(output) == local
