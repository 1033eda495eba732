import json
import tarfile
from contextlib import closing

import pytest

from vidmoco.errors import ConfigError
from vidmoco.frames.index import VideoRow, shard_name
from vidmoco.frames.shard_writer import JOURNAL, ShardWriter


def open_writer(folder, *, settings=None, shard_bytes=10**6, first_shard=0):
    settings = settings or {"fps": 4}
    return closing(
        ShardWriter(folder, settings=settings, shard_bytes=shard_bytes, first_shard=first_shard)
    )


def add(writer, folder, name, *, size=1024):
    piece = folder / "piece"
    piece.write_bytes(name.encode() * size)
    shard, start = writer.append(piece, num_bytes=size)
    assert not piece.exists()
    row = VideoRow(
        name=name,
        num_bytes=1,
        mtime_ns=1,
        duration_seconds=1.0,
        aspect_ratio=1.0,
        num_frames=1,
        shard=shard,
        start=start,
        end=start + size,
    )
    writer.add(row, {"offset": [start]})
    return shard, start


def test_pieces_go_one_after_the_other_and_on_to_the_next_shard(tmp_path):
    with open_writer(tmp_path, shard_bytes=2500, first_shard=3) as writer:
        places = [add(writer, tmp_path, name) for name in "abcd"]
        assert places == [(3, 0), (3, 1024), (4, 0), (4, 1024)]
        writer.close_shard()
    data = (tmp_path / shard_name(3)).read_bytes()
    assert data == b"a" * 1024 + b"b" * 1024 + tarfile.NUL * 1024


def test_a_piece_larger_than_a_shard_has_one_to_itself(tmp_path):
    with open_writer(tmp_path, shard_bytes=100) as writer:
        assert [add(writer, tmp_path, name) for name in "ab"] == [(0, 0), (1, 0)]


def test_what_is_not_in_the_journal_is_cut_off(tmp_path):
    with open_writer(tmp_path) as writer:
        add(writer, tmp_path, "a")
        writer.sync()
        add(writer, tmp_path, "b")  # appended, and its line is not on the disk
    assert (tmp_path / shard_name(0)).stat().st_size == 2048
    with open_writer(tmp_path) as writer:
        assert [row.name for row, _ in writer.entries] == ["a"]
        assert (tmp_path / shard_name(0)).read_bytes() == b"a" * 1024
        assert add(writer, tmp_path, "c") == (0, 1024)


def test_a_half_line_of_the_journal_is_cut_off(tmp_path):
    with open_writer(tmp_path) as writer:
        add(writer, tmp_path, "a")
        writer.sync()
    with (tmp_path / JOURNAL).open("a") as file:
        file.write('{"video": {"na')
    for _ in range(2):
        with open_writer(tmp_path) as writer:
            assert [row.name for row, _ in writer.entries] == ["a"]
            writer.sync()
    assert all(json.loads(line) for line in (tmp_path / JOURNAL).read_text().splitlines())


def test_an_empty_journal_is_a_beginning(tmp_path):
    with open_writer(tmp_path) as writer:
        add(writer, tmp_path, "a")
    (tmp_path / JOURNAL).write_text("")
    with open_writer(tmp_path, settings={"fps": 9}) as writer:
        assert writer.entries == []
        writer.sync()
        assert json.loads((tmp_path / JOURNAL).read_text()) == {"settings": {"fps": 9}}


@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        (
            lambda f: (f / shard_name(0)).write_bytes(b""),
            "000000.tar is shorter than .*/journal.jsonl says",
        ),
        (
            lambda f: (f / shard_name(0)).unlink(),
            "000000.tar is shorter than .*/journal.jsonl says",
        ),
        (lambda f: (f / JOURNAL).write_text("[1]\n"), "is damaged"),
        (lambda f: (f / JOURNAL).write_text("x\n"), "is damaged"),
        (lambda f: add_bytes(f / JOURNAL, b'"\xff"\n'), "is damaged: 'utf-8' codec can't decode"),
    ],
)
def test_a_folder_that_is_not_as_the_journal_says(tmp_path, harm, expected):
    with open_writer(tmp_path) as writer:
        add(writer, tmp_path, "a")
        writer.sync()
    harm(tmp_path)
    with pytest.raises(ConfigError, match=expected) as caught:
        open_writer(tmp_path)
    assert f"Delete {tmp_path}/journal.jsonl and {tmp_path}/shards, and give" in str(caught.value)
    (tmp_path / "frames.json").touch()  # what is in an index is whole
    with pytest.raises(ConfigError, match=r"Delete [^ ]*/journal\.jsonl, and give the same"):
        open_writer(tmp_path)
    (tmp_path / JOURNAL).unlink()
    with open_writer(tmp_path, first_shard=1) as writer:
        assert writer.entries == []


def add_bytes(path, data):
    path.write_bytes(path.read_bytes() + data)


def test_a_journal_of_other_settings_is_not_damaged(tmp_path):
    with open_writer(tmp_path):
        pass
    with pytest.raises(ConfigError) as caught:
        open_writer(tmp_path, settings={"fps": 9})
    assert str(caught.value) == (
        f"{tmp_path} holds an unfinished run with --fps 4, and this command has --fps 9. Give "
        "--fps 4, or another folder with -o."
    )


def test_a_journal_says_whose_it_is_before_there_is_a_shard(tmp_path, monkeypatch):
    noted, really_open = [], ShardWriter._open

    def look_and_open(self):
        noted.append(json.loads((tmp_path / JOURNAL).read_text()))
        really_open(self)

    monkeypatch.setattr(ShardWriter, "_open", look_and_open)
    with open_writer(tmp_path):
        assert noted == [{"settings": {"fps": 4}}]


def test_a_shard_without_a_video_is_removed(tmp_path):
    with open_writer(tmp_path, first_shard=5) as writer:
        writer.close_shard()
        writer.forget_journal()
    assert not list((tmp_path / "shards").iterdir())
    assert not (tmp_path / JOURNAL).exists()
