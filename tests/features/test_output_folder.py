import errno
import os
import threading
from pathlib import Path

import fsspec
import pytest
from full_disk import no_file_larger_than

from vidmoco.errors import ConfigError
from vidmoco.features.output_folder import INTERNAL, output_folder


@pytest.fixture(params=["path", "file", "memory"])
def folder(request, tmp_path):
    place = {
        "path": tmp_path / "feats",
        "file": f"file://{tmp_path}/feats",
        "memory": "memory://shelf/feats",
    }[request.param]
    made = output_folder(type(tmp_path)(place))
    made.make()
    yield made
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]


def read(folder, name):
    with folder.open(name) as file:
        return file.read()


def test_files_are_put_read_listed_and_deleted(folder):
    part = folder.temporary("part-1")
    part.write_bytes(b"rows")
    folder.put(part, "part-1.parquet")
    folder.write(f"{INTERNAL}/dataset.json", b"old")
    folder.write(f"{INTERNAL}/dataset.json", b"new")
    assert not part.exists()
    assert folder.sizes() == {"part-1.parquet": 4}
    assert sorted(folder.names()) == sorted([INTERNAL, "part-1.parquet"])
    assert folder.sizes(INTERNAL) == {"dataset.json": 3}
    assert (read(folder, "part-1.parquet"), read(folder, f"{INTERNAL}/dataset.json")) == (
        b"rows",
        b"new",
    )
    folder.delete("part-1.parquet", "part-1.parquet")
    assert folder.sizes() == {} and folder.sizes("nowhere") == {}
    for read_it in (folder.open, folder.read):
        with pytest.raises(FileNotFoundError):
            read_it("part-1.parquet")


def test_one_of_many_creates_a_file(folder):
    winners = []

    def create(number):
        if folder.create(f"{INTERNAL}/claims/a", str(number).encode()):
            winners.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(winners) == 1
    assert folder.read(f"{INTERNAL}/claims/a") == str(winners[0]).encode()
    assert list(folder.sizes(f"{INTERNAL}/claims")) == ["a"]


@pytest.fixture
def local(tmp_path):
    made = output_folder(tmp_path / "feats")
    made.make()
    return made


def test_a_created_file_is_complete_when_its_name_appears(local, monkeypatch):
    seen = []
    honest = Path.write_bytes

    def write(path, data):
        seen.append((local.path / "a").exists())
        with path.open("xb") as file:
            for byte in data:
                file.write(bytes([byte]))
                file.flush()
                seen.append((local.path / "a").exists())

    monkeypatch.setattr(Path, "write_bytes", write)
    assert local.create("a", b"all of it")
    assert not any(seen) and len(seen) == 10
    monkeypatch.setattr(Path, "write_bytes", honest)
    assert not local.create("a", b"another") and local.read("a") == b"all of it"


def test_a_full_disk_creates_no_file(local):
    with no_file_larger_than(100), pytest.raises(ConfigError, match="finished videos are kept"):
        local.create("a", bytes(1000))
    assert local.names() == []


def test_files_are_created_where_there_are_no_links(local, monkeypatch):
    def link(source, target):
        raise OSError(errno.EPERM, "no links")

    monkeypatch.setattr(os, "link", link)
    assert local.create("a", b"1") and not local.create("a", b"2")
    assert local.read("a") == b"1" and local.names() == ["a"]


def test_an_answer_of_a_file_server_that_is_lost(local, monkeypatch):
    """Its client asks again, and hears that the file is there: it is the own one."""
    honest = os.link

    def link(source, target):
        honest(source, target)
        raise FileExistsError(errno.EEXIST, "asked twice")

    monkeypatch.setattr(os, "link", link)
    assert local.create("a", b"1") and local.names() == ["a"]


def test_a_file_that_was_just_replaced_is_read_again(local, monkeypatch):
    local.write("a", b"new")
    answers = [OSError(errno.ESTALE, "stale"), b"new"]

    def read_bytes(path):
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    assert local.read("a") == b"new" and answers == []


def test_what_cannot_be_read_is_one_line(local):
    local.write("a", b"no folder")
    for read_it in (
        lambda: local.open("a/b"),
        lambda: local.read("a/b"),
        lambda: local.sizes("a"),
        lambda: local.changed("a"),
        output_folder(local.path / "a").names,
    ):
        with pytest.raises(ConfigError, match=r"cannot be read: Not a directory\. Fix that"):
            read_it()


def test_times_are_those_of_the_folders_clock(folder):
    for name in ("a", "b"):
        folder.write(f"{INTERNAL}/workers/{name}", b"")
    first = folder.changed(f"{INTERNAL}/workers")
    folder.write(f"{INTERNAL}/workers/a", b"again")
    second = folder.changed(f"{INTERNAL}/workers")
    assert second["b"] == first["b"] and second["a"] >= first["a"]


def test_a_full_disk_is_one_line_and_leaves_the_old_file(tmp_path):
    folder = output_folder(tmp_path / "feats")
    folder.make()
    folder.write("a", b"old")
    with no_file_larger_than(100), pytest.raises(ConfigError, match=r"finished videos are kept\.$"):
        folder.write("a", bytes(1000))
    assert read(folder, "a") == b"old" and folder.names() == ["a"]


def test_closing_removes_empty_folders_only(tmp_path):
    folder = output_folder(tmp_path / "feats")
    folder.make()
    folder.write(f"{INTERNAL}/workers/a", b"")
    folder.write(f"{INTERNAL}/claims/a", b"")
    folder.delete(f"{INTERNAL}/claims/a")
    folder.close()
    assert os.listdir(tmp_path / "feats" / INTERNAL) == ["workers"]  # noqa: PTH208
    folder.delete(f"{INTERNAL}/workers/a")
    folder.close()
    assert folder.names() == []


@pytest.mark.parametrize("method", ["write", "create"])
@pytest.mark.parametrize("name", ["claims/a", "a"])
@pytest.mark.parametrize("moment", ["mkdir", "write_bytes"])
def test_another_process_that_ends_removes_the_folder_of_a_file(
    method, name, moment, local, monkeypatch
):
    honest, times = getattr(Path, moment), 0

    def raced(path, *args, **options):
        nonlocal times
        times += 1
        if times <= 3:
            local.close()
        if moment == "mkdir" and times <= 3:
            honest(path, *args, **options)
            return local.close()
        return honest(path, *args, **options)

    monkeypatch.setattr(Path, moment, raced)
    getattr(local, method)(f"{INTERNAL}/{name}", b"all of it")
    assert local.read(f"{INTERNAL}/{name}") == b"all of it" and times > 3


def test_a_folder_that_vanishes_is_one_line(local):
    """It is made again while others may have removed it for being empty; not if it cannot be."""
    (local.path / INTERNAL).write_bytes(b"a file of the user")
    for method in (local.write, local.create):
        with pytest.raises(ConfigError, match=r"a cannot be written: .*directory"):
            method(f"{INTERNAL}/claims/a", b"")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("nothing://bucket/feats", "Protocol not known: nothing"),
        ("http://127.0.0.1:1/feats", "Cannot connect to host"),
        ("file:///proc/none/feats", "No such file or directory"),
    ],
)
def test_a_url_that_cannot_be_written_is_one_line(url, reason, tmp_path):
    with pytest.raises(ConfigError, match=reason):
        output_folder(type(tmp_path)(url)).make()
