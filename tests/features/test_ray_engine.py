"""What can go wrong on a cluster; whoever is killed is in faults/test_kill_ray.py."""

import os
import socket

import pytest
from painted_videos import write_video
from ray_cluster import cluster

from vidmoco.cli.main import main
from vidmoco.features import ray_engine


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
    monkeypatch.setattr(ray_engine, "find_spec", lambda name: None)
    assert "pip install 'vidmoco[ray]'" in refused(words, capsys)


def test_one_video(words, tmp_path, capsys):
    words[1:4] = [str(tmp_path / "videos" / "a.mp4"), "-o", str(tmp_path / "a.npy")]
    assert "--engine ray is for many videos" in refused(words, capsys)


@pytest.mark.parametrize("address", ["127.0.0.1:PORT", "nowhere", "127.0.0.1:99999", "h:x", ":"])
def test_an_address_where_nothing_listens(address, words, capsys):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    line = refused([*words, "--ray-address", address.replace("PORT", str(port))], capsys)
    assert "No Ray cluster answers at" in line and "HOST:PORT" in line


def test_an_address_of_the_ray_client(words, capsys):
    assert "ray job submit" in refused([*words, "--ray-address", "ray://h:10001"], capsys)


def test_bad_videos_cost_themselves_and_files_are_written_where_the_command_says(
    words, address, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)  # workers have a folder of their own
    words[3] = "feats"
    from vidmoco.video.open_catalog import open_catalog

    open_catalog([tmp_path / "videos"], workers=1)
    stat = (tmp_path / "videos" / "b.mp4").stat()
    monkeypatch.setattr(
        "vidmoco.features.extract_command.open_catalog",
        lambda *args, **options: _broken(tmp_path, open_catalog(*args, **options)),
    )
    assert stat.st_size
    assert main([*words, "--format", "npy"]) == 1
    assert {path.name for path in (tmp_path / "feats").glob("*.npy")} == {
        "a.mp4.npy", "a.mp4.timestamps.npy",
    }  # fmt: skip
    out, err = capsys.readouterr()
    assert "feats: 1 extracted, 0 were there already, 1 failed" in out
    assert "  'b.mp4': " in err and "Ray: 1 workers, each with 2 CPUs" in err


def _broken(folder, catalog):
    (folder / "videos" / "b.mp4").write_bytes(b"broken since the scan")
    return catalog


def test_another_version_on_a_worker(words, address, capsys, monkeypatch):
    import vidmoco

    monkeypatch.setattr(vidmoco, "__version__", "99.0")
    line = refused(words, capsys)
    assert f"{socket.gethostname()} has vidmoco 0" in line and "of vidmoco 99.0" in line


def test_workers_that_all_die(words, address, capsys, monkeypatch):
    def actor_class():
        class Dying:
            def work(self, version, job, start):
                os._exit(1)
                yield

        return Dying

    monkeypatch.setattr(ray_engine, "_actor_class", actor_class)
    line = refused([*words, "--ray-workers", "1"], capsys)
    assert "4 Ray workers have ended one after the other" in line


def test_a_cluster_without_gpus(words, address, capsys):
    words[words.index("cpu")] = "cuda"
    assert "has 1 GPUs and a CPU" in refused(words, capsys)
