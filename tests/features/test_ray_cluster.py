import os
import signal
import socket
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from child_processes import Process, until
from painted_videos import write_video

from vidmoco.errors import ConfigError
from vidmoco.features.ray_cluster import cluster

WAITING = """
import sys
from vidmoco.cli.main import main
from vidmoco.features import ray_cluster, ray_engine
ray_cluster._HEAD_PATIENCE = 0.0
def actor_class():
    class Waiting:
        def work(self, version, job, start):
            import os, time
            yield {"worker": "0000000a"}
            yield {"video": 0, "rows": 3, "damage": []}
            begun = os.path.join(FOLDER, "begun")
            open(begun, "w").close()
            while True:
                time.sleep(0.1)
    return Waiting
ray_engine._actor_class = actor_class
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def refused(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)

    def enter(address):
        with pytest.raises(ConfigError) as refusal, cluster(address):
            pytest.fail("it was joined")
        return str(refusal.value)

    return enter


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("127.0.0.1:PORT", "nothing listens there (Connection refused)"),
        ("x" * 80 + ":1", "nothing listens there"),
        *((one, "that is no address") for one in ("nowhere", "127.0.0.1:99999", "h:x", ":", "h:²")),
    ],
)
def test_an_address_where_nothing_listens(address, reason, refused):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = address.replace("PORT", str(free.getsockname()[1]))
    line = refused(address)
    assert line.startswith(f"No Ray cluster answers at {address!r} (--ray-address): {reason}")
    assert "Give HOST:PORT as `ray start --head` prints it, auto (" in line


def test_an_address_of_the_environment(refused, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "nonsense")
    assert "'nonsense' (RAY_ADDRESS)" in refused(None)


def test_no_cluster_runs_here(refused, monkeypatch):
    import ray

    def init(*args, **options):
        raise ConnectionError("Could not find any running Ray instance.")

    monkeypatch.setattr(ray, "init", init)
    assert "--ray-address is auto, and no Ray cluster runs on this" in refused("auto")


def test_an_address_where_something_else_listens(refused):
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    assert "something else than Ray listens there" in refused(f"127.0.0.1:{server.server_port}")
    thread.join()
    server.server_close()


def test_an_address_of_the_ray_client(refused):
    assert "ray job submit" in refused("ray://h:10001")


def child_of(pid, name):
    """The number of the child of a process that runs this program."""
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            status = (path / "status").read_text()
            if f"PPid:\t{pid}\n" in status and f"Name:\t{name}\n" in status:
                return int(path.name)
    return None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("raylet", "The process of Ray on this machine (raylet) has ended."),
        ("gcs_server", "has ended, or cannot be reached."),
    ],
)
def test_ray_itself_ends(name, said, tmp_path, backbone):
    for video in "ab":
        write_video(tmp_path / "videos" / f"{video}.mp4", num_frames=3)
    words = ["extract", str(tmp_path / "videos"), "-o", str(tmp_path / "feats"), "--device", "cpu",
             "--backbone", str(backbone), "--engine", "ray", "--ray-address", "local",
             "--ray-workers", "1"]  # fmt: skip
    driver = Process(["-c", f"FOLDER = {str(tmp_path)!r}\n{WAITING}", *words])
    until(lambda: (tmp_path / "begun").exists() or driver.poll() is not None)
    os.kill(child_of(driver.pid, name), signal.SIGKILL)
    assert driver.wait() == 2, driver.err
    last = driver.err.splitlines()[-1]
    assert last.startswith("vidmoco: The ") and said in last
    assert "Finished videos are kept." in last and "give the same command" in last
