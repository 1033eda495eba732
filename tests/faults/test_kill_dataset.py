"""Datasets whose writers are killed: each row is there once, after the same command again.

More moments: ``VIDMOCO_FAULT_SEEDS=100 pytest tests/faults``.
"""

import os
import random
import signal
import time

import pytest
from child_processes import Process, until
from written_dataset import dataset_in, rows_of

SEEDS = range(max(1, int(os.environ.get("VIDMOCO_FAULT_SEEDS", "8")) // 2))
# Parts and pieces of a few rows, so that all that happens to large datasets happens here.
SMALL = """
import os, signal, sys
from vidmoco.features import claims, dataset, dataset_writer, output_folder
dataset.PART_BYTES, dataset_writer._LONG, dataset_writer._SECONDS = 24_000, 12_000, 0.0
claims._BETWEEN_SIGNS = 0.2
"""
# The process ends itself at its n-th change of the folder, before or after it.
AT_A_CHANGE = """
count = 0
def dying(method):
    def changed(*args):
        global count
        count += 1
        if count == {number} and {before}:
            os.kill(os.getpid(), signal.SIGKILL)
        result = method(*args)
        if count == {number}:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return changed
for name in ("write", "create", "put", "delete"):
    method = getattr(output_folder._LocalFolder, name)
    setattr(output_folder._LocalFolder, name, dying(method))
"""
RUN = "\nfrom vidmoco.cli.main import main\nsys.exit(main(sys.argv[1:]))"


def start(material, output, code="", *words):
    command = ["extract", str(material / "videos"), "-o", str(output), "--device", "cpu"]
    command += ["--backbone", str(material / "it"), "--workers", "1", "--batch-size", "4", *words]
    return Process(["-c", SMALL + code + RUN, *command])


@pytest.fixture(scope="module")
def undisturbed(material, num_frames, tmp_path_factory):
    output = tmp_path_factory.mktemp("whole") / "feats"
    began = time.monotonic()
    process = start(material, output)
    assert process.wait() == 0, process.err
    rows, manifest = dataset_in(output)
    assert len(rows) == num_frames
    return rows, manifest, time.monotonic() - began


def require_whole(output, undisturbed):
    assert dataset_in(output) == undisturbed[:2]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_kill_at_any_change_of_the_folder(seed, material, undisturbed, tmp_path):
    generator = random.Random(seed)
    output = tmp_path / "feats"
    for _ in range(2):  # what a killed process left is another's beginning
        number, before = generator.randint(1, 60), generator.random() < 0.5
        killed = start(material, output, AT_A_CHANGE.format(number=number, before=before))
        assert killed.wait() in (-signal.SIGKILL, 0), killed.err
    again = start(material, output)
    assert again.wait() == 0, again.err
    require_whole(output, undisturbed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_kill_at_a_random_moment_of_one_of_two_processes(seed, material, undisturbed, tmp_path):
    """The other one takes over what the killed one had."""
    generator = random.Random(seed)
    output = tmp_path / "feats"
    killed, other = start(material, output), start(material, output)
    time.sleep(generator.uniform(0.3, 1.0) * undisturbed[2])
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert other.wait() == 0, other.err
    if (output / "__vidmoco__" / "workers").exists():  # killed after the other's last look
        again = start(material, output)
        assert again.wait() == 0, again.err
    require_whole(output, undisturbed)


def test_processes_share_the_videos(material, undisturbed, num_videos, tmp_path):
    """No video is extracted twice, and each process is counted for what it did."""
    output = tmp_path / "feats"
    processes = [start(material, output) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0], [p.err for p in processes]
    require_whole(output, undisturbed)
    counts = [int(process.out.partition(": ")[2].split()[0]) for process in processes]
    assert sum(counts) == num_videos, counts


def test_a_stopped_process_does_not_hold_the_rest(material, undisturbed, tmp_path):
    """It is taken for dead in time, and doubles nothing when it goes on."""
    output = tmp_path / "feats"
    impatient = "\nclaims.EXPIRY = 2.0\n"
    stopped = start(material, output, impatient)
    until(lambda: list((output / "__vidmoco__" / "claims").glob("*")))
    stopped.send_signal(signal.SIGSTOP)
    other = start(material, output, impatient)
    assert other.wait() == 0, other.err
    assert rows_of(output) == undisturbed[0]
    stopped.send_signal(signal.SIGCONT)
    assert stopped.wait() == 0, stopped.err
    require_whole(output, undisturbed)
