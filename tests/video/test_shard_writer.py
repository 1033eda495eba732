import json
import tarfile
from contextlib import closing

import pytest

from vidmoco.errors import ConfigError
from vidmoco.video.frame_index import VideoRow, shard_name
from vidmoco.video.shard_writer import JOURNAL, ShardWriter


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
    writer.note(row, {"offset": [start]})
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
        (lambda f: (f / shard_name(0)).write_bytes(b""), "is shorter than the journal says"),
        (lambda f: (f / shard_name(0)).unlink(), "is shorter than the journal says"),
        (lambda f: (f / JOURNAL).write_text("[1]\n"), "is damaged"),
        (lambda f: (f / JOURNAL).write_text("x\n"), "is damaged"),
    ],
)
def test_a_folder_that_is_not_as_the_journal_says(tmp_path, harm, expected):
    with open_writer(tmp_path) as writer:
        add(writer, tmp_path, "a")
        writer.sync()
    harm(tmp_path)
    with pytest.raises(ConfigError, match=expected):
        open_writer(tmp_path)


def test_a_shard_without_a_video_is_removed(tmp_path):
    with open_writer(tmp_path, first_shard=5) as writer:
        writer.close_shard()
        writer.forget_journal()
    assert not list((tmp_path / "shards").iterdir())
    assert not (tmp_path / JOURNAL).exists()
