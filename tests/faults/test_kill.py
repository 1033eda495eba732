"""A command that is killed at a random moment: what is there is whole, and it goes on.

A seed for each of the six commands; CI takes twelve. More:
``VIDMOCO_FAULT_SEEDS=100 pytest tests/faults``.
"""

import functools
import json
import os
import random
import signal
import time
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from child_processes import Process
from painted_videos import write_video
from PIL import Image

from vidmoco.backbones.build import build_backbone, save_backbone
from vidmoco.json_lines import read_metrics
from vidmoco.train.metrics import TIMING_KEYS

SEEDS = range(int(os.environ.get("VIDMOCO_FAULT_SEEDS", "6")))
VICTIMS = ("parent", "worker", "group")
TRAIN = (
    "--steps 6 --batch-size 4 --backbone.name test_resnet --augment.size 32 --method.queue-size 8"
)
TRAIN += " --engine.log-every 1 --engine.checkpoint-minutes 0.001 --engine.threads 1"


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    for n in range(1, 6):
        write_video(folder / "videos" / f"video{n}.mp4", first_index=200 * n, num_frames=30)
    generator = np.random.default_rng(0)
    for split, name, number in product(("train", "val"), ("a", "b"), range(3)):
        (folder / "images" / split / name).mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(256, size=(40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / split / name / f"{number}.png")
    save_backbone(build_backbone("test_resnet", size=32), folder / "it", input_size=32,
                  provenance={})  # fmt: skip
    return folder


def scan(videos, out):
    return ["scan", str(videos), "-o", str(out / "catalog.parquet"), "--workers", "2"]


def prepare(videos, out):
    return ["prepare", str(videos), "-o", str(out / "frames"), "--short-side", "32"]


def extract(videos, out):
    words = ["extract", str(videos), "-o", str(out / "features"), "--backbone"]
    return [*words, str(videos.parent / "it"), "--workers", "1"]


def extract_files(videos, out):
    return [*extract(videos, out), "--format", "npy"]


def pretrain(videos, out):
    words = ["pretrain", str(videos), "--recipe", "tiny_cpu", "--run", str(out / "run")]
    return [*words, *TRAIN.split(), "--data.workers", "1", "--resume", "auto"]


def evaluate(videos, out):
    words = ["evaluate", str(videos.parent / "images"), "--backbone", str(videos.parent / "it")]
    return [*words, "--output", str(out / "results.json"), "--k", "1", "--workers", "0"]


COMMANDS = (scan, prepare, extract, pretrain, evaluate, extract_files)


def content(out):
    """What a command has made, without what tells times and places."""
    found = {}
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        assert not path.name.endswith((".part", ".old")), path
        name = path.relative_to(out).as_posix()
        if path.suffix == ".npy":
            found[name] = np.load(path).tolist()
        elif path.match("features/part-*.parquet"):
            rows = pq.read_table(path).to_pylist()
            found["features"] = sorted(found.get("features", []) + rows, key=str)
        elif path.name == "catalog.parquet" and path.parent == out:
            found[name] = pq.read_table(path).drop_columns(["mtime_ns"]).to_pylist()
        elif path.name == "metrics.jsonl":
            found[name] = [{k: v for k, v in line.items() if k not in TIMING_KEYS}
                           for line in read_metrics(path)]  # fmt: skip
        elif path.name == "model.safetensors":
            found[name] = path.read_bytes()
        elif path.name == "results.json":
            found[name] = [{k: v for k, v in row.items() if k.endswith(("top1", "interval"))}
                           for row in json.loads(path.read_text())["rows"]]  # fmt: skip
        elif path.suffix == ".tar":
            found[name] = path.stat().st_size
    assert found
    return found


def children_of(pid):
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def descendants(pid):
    try:
        return [pid, *(one for child in children_of(pid) for one in descendants(child))]
    except FileNotFoundError:
        return []


def kill(process, victim):
    family = descendants(process.pid)
    chosen = {"parent": family[:1], "group": family, "worker": family[-1:]}[victim]
    for pid in chosen:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


@pytest.fixture(scope="module")
def undisturbed(material, tmp_path_factory):
    """What each command makes if it is left alone, and the seconds that it takes."""

    @functools.cache
    def run(command):
        out = tmp_path_factory.mktemp("whole")
        began = time.monotonic()
        process = Process(["-m", "vidmoco", *command(material / "videos", out)],
                          env={"VIDMOCO_CACHE": str(tmp_path_factory.mktemp("cache"))})  # fmt: skip
        assert process.wait() == 0, process.err
        return content(out), time.monotonic() - began

    return run


@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_command_ends_as_if_nothing_had_been(seed, material, undisturbed, tmp_path):
    command = COMMANDS[seed % len(COMMANDS)]
    generator = random.Random(seed)
    videos, killed = material / "videos", tmp_path / "killed"
    whole, seconds = undisturbed(command)
    killed.mkdir()
    process = Process(["-m", "vidmoco", *command(videos, killed)])
    time.sleep(generator.uniform(0.1, 1.0) * seconds)
    kill(process, generator.choice(VICTIMS))
    process.wait()
    again = Process(["-m", "vidmoco", *command(videos, killed)])
    assert again.wait() == 0, again.err
    assert content(killed) == whole


FULL = [(prepare, size) for size in (0, 300, 3_000, 30_000, 300_000)]
FULL += [(command, size) for command in (extract, pretrain, evaluate) for size in (3_000, 100_000)]


@pytest.mark.parametrize(("command", "num_bytes"), FULL)
def test_a_full_disk_is_a_line_and_the_command_goes_on(
    command, num_bytes, material, undisturbed, tmp_path
):
    """A limit on files stands for the disk: at each size another file is the first to fail."""
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, "
        f"({num_bytes}, resource.RLIM_INFINITY)); from vidmoco.cli.main import main; "
        "sys.exit(main(sys.argv[1:]))"
    )
    words = command(material / "videos", tmp_path)
    limited = Process(["-c", code, *words])
    # What is printed goes to a file too, which takes no more at the first sizes.
    assert limited.wait() in (0, 1, 2) and "Traceback" not in limited.err, limited.err
    if limited.returncode == 2 and num_bytes >= 3_000:
        (line,) = [one for one in limited.err.splitlines() if one.startswith("vidmoco: ")]
        assert "File too large" in line
    again = Process(["-m", "vidmoco", *words])
    assert again.wait() == 0, again.err
    assert content(tmp_path) == undisturbed(command)[0]
