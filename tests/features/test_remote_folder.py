"""What a folder must do is in test_output_folder.py."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from dataset_folders import settings_of

from vidmoco.features.dataset import open_or_begin
from vidmoco.features.dataset_part import read_part
from vidmoco.features.remote_folder import INTERNAL, RemoteFolder


def test_a_file_that_another_process_deletes_meanwhile_has_no_time(monkeypatch):
    folder = RemoteFolder("memory://shelf/feats")
    for name in "ab":
        folder.write(f"w/{name}", b"")
    modified = folder._system.modified

    def deleted(path):
        folder.delete("w/a")
        return modified(path)

    monkeypatch.setattr(folder._system, "modified", deleted)
    assert set(folder.changed("w")) == {"b"}
    folder.delete("w/b")


@pytest.mark.parametrize(
    "info",
    [
        {"LastModified": datetime(2026, 1, 1, tzinfo=UTC)},  # s3fs
        {"updated": "2026-01-01T00:00:00.000Z"},  # gcsfs
        {"updated": "2026-01-01T01:00:00+01:00"},
        {"last_modified": datetime(2026, 1, 1, tzinfo=UTC)},  # adlfs
        {"mtime": datetime(2026, 1, 1)},
        {"LastModified": 1767225600},  # ossfs
        {"mtime": 1767225600.0},
        {},  # memory
    ],
)
def test_times_as_stores_write_them(info, monkeypatch):
    folder = RemoteFolder("memory://shelf/feats")
    found = [{"name": "/shelf/feats/w/a", "type": "file", "size": 1} | info]
    monkeypatch.setattr(folder._system, "ls", lambda path, detail: found)
    modified = datetime(2026, 1, 1, tzinfo=UTC)
    monkeypatch.setattr(folder._system, "modified", lambda path: modified)
    assert folder.changed("w") == {"a": 1767225600.0}


def test_the_mark_of_a_folder_that_a_console_made_is_no_file(monkeypatch):
    folder = RemoteFolder("memory://shelf/feats")
    found = [
        {"name": "shelf/feats/", "type": "file", "size": 0},
        {"name": "shelf/feats/a.parquet", "type": "file", "size": 7},
    ]
    monkeypatch.setattr(folder._system, "ls", lambda path, detail: found)
    assert folder.names() == ["a.parquet"] and folder.sizes() == {"a.parquet": 7}


def test_a_part_that_is_gone_when_it_is_read_is_no_damage():
    class Gone:
        closed = False

        def read(self, *_):
            raise FileNotFoundError

        tell = seek = readable = seekable = read

    with pytest.raises(FileNotFoundError):
        read_part("part", Gone(), 9, pa.schema([("feature", pa.float32())]))


def test_a_kill_while_a_folder_is_tried_leaves_what_is_tidied_up(remote, monkeypatch):
    folder = RemoteFolder("memory://shelf/f")
    with monkeypatch.context() as patch:
        patch.setattr(folder, "delete", lambda *names: None)  # it died before
        folder.make()
    assert len(folder.sizes(INTERNAL)) == 1 and not folder.sizes()
    dataset = open_or_begin(folder, settings_of())
    dataset.tidy(worker="0000000a", living=(), is_alive=lambda name: False)
    assert list(folder.sizes(INTERNAL)) == ["dataset.json"]
