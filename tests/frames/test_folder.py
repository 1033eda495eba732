import pytest

from vidmoco.errors import ConfigError
from vidmoco.frames.folder import locked, piece_name, pieces_of, refuse_foreign
from vidmoco.lock import LOCK


def test_folders_that_prepare_may_write_to(tmp_path):
    refuse_foreign(tmp_path / "none")
    refuse_foreign(tmp_path)
    (tmp_path / "shards").mkdir()
    (tmp_path / "pieces").mkdir()
    (tmp_path / LOCK).touch()
    (tmp_path / "journal.jsonl").touch()
    refuse_foreign(tmp_path)  # as a kill leaves it before the first shard
    (tmp_path / "shards" / "000000.tar").touch()
    with pytest.raises(ConfigError, match="It holds 'shards'"):
        refuse_foreign(tmp_path)
    (tmp_path / "journal.jsonl").write_text('{"settings": {}}\n')
    refuse_foreign(tmp_path)
    (tmp_path / "journal.jsonl").unlink()
    (tmp_path / "frames.json").touch()
    refuse_foreign(tmp_path)


@pytest.mark.parametrize("name", ["a", "shards", "pieces", "x/y"])
def test_a_file_of_the_users(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(ConfigError, match=f"It holds '{name[0] if '/' in name else name}'"):
        refuse_foreign(tmp_path)


def test_a_lock_is_held_once(tmp_path):
    another = pytest.raises(ConfigError, match="Another process is preparing")
    with locked(tmp_path), another, locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_a_disk_without_locks(tmp_path, no_locks):
    with pytest.raises(ConfigError, match=r"\.lock cannot be locked: No locks"), locked(tmp_path):
        pass
    (tmp_path / "other" / LOCK).mkdir(parents=True)
    with (
        pytest.raises(ConfigError, match="cannot be locked: Is a dir"),
        locked(tmp_path / "other"),
    ):
        pass


def test_an_error_under_the_lock_is_no_error_of_the_lock(tmp_path):
    with pytest.raises(BlockingIOError), locked(tmp_path):
        raise BlockingIOError


def test_pieces_are_cleared_away_and_nothing_else(tmp_path):
    with pieces_of(tmp_path) as pieces:
        (pieces / piece_name(3)).touch()
    assert not list(tmp_path.iterdir())
    pieces.mkdir()
    for name in (piece_name(7), "mine.tar", "8.txt"):
        (pieces / name).touch()
    with pieces_of(tmp_path):
        assert sorted(path.name for path in pieces.iterdir()) == ["8.txt", "mine.tar"]
        (pieces / piece_name(1)).touch()
    assert sorted(path.name for path in pieces.iterdir()) == ["8.txt", "mine.tar"]
