import errno
import shutil
import stat
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from full_disk import no_file_larger_than
from safetensors.numpy import save_file

from vidmoco import atomic_file
from vidmoco.atomic_file import atomic_write, remove_parts, writing
from vidmoco.errors import ConfigError, DataError

ROWS = np.random.default_rng(0).normal(size=4000)


def save_opened(path):
    with path.open("wb") as file:
        torch.save({"x": torch.from_numpy(ROWS)}, file)


def save_npz(path):
    with path.open("wb") as file:
        np.savez(file, x=ROWS)


WRITERS = {
    "text": lambda path: path.write_text("x" * 20_000),
    "torch, a file": save_opened,
    "torch, a path": lambda path: torch.save({"x": torch.from_numpy(ROWS)}, path),
    "npz": save_npz,
    "safetensors": lambda path: save_file({"x": ROWS}, path),
    "parquet": lambda path: pq.write_table(pa.table({"x": ROWS}), path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_library_s_failure_reads_alike_and_leaves_the_old_file(tmp_path, name):
    path = tmp_path / "it"
    path.write_text("the old one")
    with (
        no_file_larger_than(4096),
        pytest.raises(ConfigError) as told,
        atomic_write(path, advice=", or give another -o.") as part,
    ):
        WRITERS[name](part)
    assert str(told.value).startswith(f"{path} cannot be written: ")
    assert str(told.value).endswith(", or give another -o.") and "\n" not in str(told.value)
    if name != "torch, a path":  # which does not say why
        assert "File too large. Raise the limit of the size of a file" in str(told.value)
    assert [p.name for p in tmp_path.iterdir()] == ["it"]
    assert path.read_text() == "the old one"
    with atomic_write(path) as part:
        WRITERS[name](part)
    assert path.stat().st_size > 10_000
    assert [p.name for p in tmp_path.iterdir()] == ["it"]


def test_a_full_device_is_named():
    if not Path("/dev/full").is_char_device():
        pytest.skip("no /dev/full")
    with (
        pytest.raises(ConfigError, match=r"a/b.pt cannot be written: No space left.* Make room"),
        writing(Path("a/b.pt")),
        Path("/dev/full").open("wb") as file,
    ):
        torch.save({"x": torch.from_numpy(ROWS)}, file)


def test_a_folder_is_whole_or_not_there(tmp_path):
    source, target = tmp_path / "from", tmp_path / "to"
    source.mkdir()
    (source / "large").write_text("x" * 20_000)
    target.mkdir()
    (target / "old").write_text("")

    def copy():
        with atomic_write(target) as part:
            shutil.copytree(source, part)

    with no_file_larger_than(4096), pytest.raises(ConfigError, match=r"to cannot.*too large"):
        copy()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["from", "to"]
    assert [p.name for p in target.iterdir()] == ["old"]
    copy()
    assert [p.name for p in target.iterdir()] == ["large"]


def test_a_folder_in_folders(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr(atomic_file, "flush_to_disk", lambda path: flushed.append(path.name))
    for text in ("old", "new"):
        with atomic_write(tmp_path / "to") as part:
            (part / "inside").mkdir(parents=True)
            (part / "inside" / text).write_text(text)
    assert [p.name for p in tmp_path.iterdir()] == ["to"]
    assert [p.name for p in (tmp_path / "to" / "inside").iterdir()] == ["new"]
    assert flushed == ["old", "new"]


def test_a_link_to_a_folder_gives_way_to_the_folder(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "kept").write_text("")
    (tmp_path / "to").symlink_to(tmp_path / "far")
    with atomic_write(tmp_path / "to") as part:
        part.mkdir()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["far", "to"]
    assert not (tmp_path / "to").is_symlink() and not list((tmp_path / "to").iterdir())
    assert (tmp_path / "far" / "kept").exists()


def test_a_folder_that_cannot_be_put_in_place_leaves_the_old_one(tmp_path, monkeypatch):
    target = tmp_path / "to"
    target.mkdir()
    (target / "old").write_text("")
    rename = Path.replace

    def refuse(path, into):
        if path.name.endswith(".part"):
            raise OSError(errno.EROFS, "")
        return rename(path, into)

    with pytest.raises(ConfigError, match="Read-only"), atomic_write(target) as part:
        part.mkdir()
        monkeypatch.setattr(Path, "replace", refuse)
    assert [p.name for p in tmp_path.iterdir()] == ["to"]
    assert [p.name for p in target.iterdir()] == ["old"]


def test_a_folder_does_not_replace_a_file(tmp_path):
    (tmp_path / "to").write_text("a file")
    refused = pytest.raises(ConfigError, match="to cannot be written: Not a directory")
    with refused, atomic_write(tmp_path / "to") as part:
        part.mkdir()
    assert [p.name for p in tmp_path.iterdir()] == ["to"]
    assert (tmp_path / "to").read_text() == "a file"


@pytest.mark.parametrize("error", [DataError("b [Errno 28]"), RuntimeError("c"), KeyError("d")])
def test_other_errors_are_not_touched(tmp_path, error):
    with pytest.raises(type(error)) as raised, atomic_write(tmp_path / "it") as part:
        part.write_text("half")
        raise error
    assert raised.value is error
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ConfigError, match=r"x cannot be written: (Not a directory|File exists)"),
        atomic_write(tmp_path / "file" / "x"),
    ):
        pass


def test_no_right_to_write(tmp_path):
    with (
        pytest.raises(ConfigError, match=r"Read-only file system. Fix that, or wait\."),
        atomic_write(tmp_path / "x", advice=", or wait."),
    ):
        raise OSError(errno.EROFS, "")


def test_threads_that_write_one_file_at_the_same_time(tmp_path):
    """Nor do containers share a temporary file, whose processes all have the number 1."""
    path, all_have_one, parts = tmp_path / "it", threading.Barrier(3, timeout=60), []

    def write(text):
        with atomic_write(path) as part:
            part.write_text(text)
            parts.append(part)
            all_have_one.wait()
            assert part.read_text() == text

    threads = [threading.Thread(target=write, args=(str(n) * 9,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(parts)) == 3
    assert [p.name for p in tmp_path.iterdir()] == ["it"]
    assert path.read_text() in {"000000000", "111111111", "222222222"}


def test_a_file_has_the_rights_of_any_other(tmp_path):
    (tmp_path / "other").write_text("")
    with atomic_write(tmp_path / "it") as part:
        part.write_text("")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_what_killed_processes_have_left_is_removed(tmp_path):
    with atomic_write(tmp_path / "step_1.pt") as part:
        part.write_text("")
        shutil.copy(part, tmp_path / part.name.replace("step_1", "step_2"))
    (tmp_path / "step_3.pt.77.part").write_text("of an older version")
    (tmp_path / "other.pt.77.part").write_text("")
    remove_parts(tmp_path, "step_*.pt")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["other.pt.77.part", "step_1.pt"]
