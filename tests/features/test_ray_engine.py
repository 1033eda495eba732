"""What can go wrong on a cluster; whoever is killed is in faults/test_kill_ray.py."""

import socket
from contextlib import nullcontext
from pathlib import Path

import pytest
from child_processes import Process
from painted_videos import write_video
from ray_cluster import cluster

from vidmoco.cli.main import main
from vidmoco.config.extract import ExtractCommand
from vidmoco.features import extract_plan
from vidmoco.features.extract_plan import plan_of

RUN = "\nimport sys\nfrom vidmoco.cli.main import main\nsys.exit(main(sys.argv[1:]))"
BROKEN_SINCE_THE_SCAN = """
from pathlib import Path
from vidmoco.features import extract_plan
scan = extract_plan.open_catalog
def open_catalog(*args, **options):
    catalog = scan(*args, **options)
    Path("videos/b.mp4").write_bytes(b"broken")
    return catalog
extract_plan.open_catalog = open_catalog
"""
ANOTHER_FOLDER = """
from dataclasses import replace
from vidmoco.features import ray_engine
job = ray_engine._job
ray_engine._job = lambda *args: replace(job(*args), driver="0000000a")
"""
DYING = """
import os
from vidmoco.features import ray_engine
def actor_class():
    class Dying:
        def work(self, version, job, start):
            os._exit(1)
            yield
    return Dying
ray_engine._actor_class = actor_class
"""
STOPPING = """
import time
from pathlib import Path
from vidmoco.features import ray_engine
ray_engine._GRACE = 1200.0
Extractor = ray_engine._actor_class()
def actor_class():
    class Stopping(Extractor):
        def work(self, version, job, start):
            yield {"worker": f"0000000{start}"}
            begun = Path(FOLDER) / "begun"
            if start:
                while not begun.exists():
                    time.sleep(0.01)
                yield {"error": "node cannot go on"}
            else:
                yield {"video": 0, "rows": 3, "damage": []}
                begun.touch()
                self.stopped.wait()
                (Path(FOLDER) / "closed").touch()
    return Stopping
ray_engine._actor_class = actor_class
"""


@pytest.fixture
def words(tmp_path, backbone):
    for name in "ab":
        write_video(tmp_path / "videos" / f"{name}.mp4", num_frames=3)
    return ["extract", str(tmp_path / "videos"), "-o", str(tmp_path / "feats"), "--device", "cpu",
            "--backbone", str(backbone), "--engine", "ray"]  # fmt: skip


@pytest.fixture(scope="module")
def address():
    with cluster() as found:
        yield found


def refused(words, capsys):
    assert main(words) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("vidmoco: ") and "Traceback" not in line
    return line


def test_ray_is_not_installed(words, capsys, monkeypatch):
    monkeypatch.setattr(extract_plan, "find_spec", lambda name: None)
    assert "pip install 'vidmoco[ray]'" in refused(words, capsys)


def test_the_driver_decodes_nothing(words, monkeypatch):
    monkeypatch.setattr(extract_plan, "start_fork_server", pytest.fail)
    monkeypatch.setattr(extract_plan, "libraries_meanwhile", nullcontext)
    command = ExtractCommand(
        videos=(Path(words[1]),), output=Path(words[3]), engine="ray", workers=1
    )
    assert len(plan_of(command).todo) == 2


def test_one_video(words, tmp_path, capsys):
    words[1:4] = [str(tmp_path / "videos" / "a.mp4"), "-o", str(tmp_path / "a.npy")]
    assert "--engine ray is for many videos" in refused(words, capsys)


def on_cluster(words, address, code=""):
    """Run the command in a process whose functions are not checked: checked ones cannot be sent."""
    process = Process(["-c", code + RUN, *words, "--ray-address", address])
    return process.wait(), process.out, process.err.splitlines()


def test_bad_videos_cost_themselves_and_files_are_written_where_the_command_says(
    words, address, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)  # workers have a folder of their own
    words[3] = "feats"
    code, out, err = on_cluster([*words, "--format", "npy"], address, BROKEN_SINCE_THE_SCAN)
    assert code == 1, err
    assert {path.name for path in (tmp_path / "feats").glob("*.npy")} == {
        "a.mp4.npy", "a.mp4.timestamps.npy",
    }  # fmt: skip
    assert "feats: 1 extracted, 0 were there already, 1 failed" in out
    assert "  'b.mp4': " in err[-1] and "Ray workers: 1 (CPUs of each: 2)" in err


def test_another_version_on_a_worker(words, address):
    code, _, err = on_cluster(words, address, "import vidmoco\nvidmoco.__version__ = '99.0'\n")
    assert code == 2 and err[-1].startswith("vidmoco: A Ray worker on "), err
    assert f"{socket.gethostname()} has vidmoco 0" in err[-1] and "of vidmoco 99.0" in err[-1]


def test_a_worker_that_cannot_go_on(words, address):
    code, _, err = on_cluster(words, address, ANOTHER_FOLDER)
    assert code == 2 and "is another folder on this node" in err[-1], err


def test_workers_that_all_die(words, address):
    code, _, err = on_cluster([*words, "--ray-workers", "1"], address, DYING)
    assert code == 2 and "4 Ray workers have ended one after the other" in err[-1], err
    assert sum("another takes its place" in line for line in err) == 3


def test_workers_close_what_they_have_before_they_are_killed(words, address, tmp_path):
    words += ["--ray-workers", "2", "--workers", "1"]
    code, _, err = on_cluster(words, address, f"FOLDER = {str(tmp_path)!r}\n" + STOPPING)
    assert code == 2 and "node cannot go on" in err[-1], err
    assert (tmp_path / "closed").exists()


def test_a_cluster_without_gpus(words, address):
    words[words.index("cpu")] = "cuda"
    code, _, err = on_cluster(words, address)
    assert code == 2 and "a CPU and GPUs for --ray-gpus 1" in err[-1], err
