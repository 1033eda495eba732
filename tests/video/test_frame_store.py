import pytest

from vidmoco.errors import ConfigError
from vidmoco.video.frame_index import shard_name
from vidmoco.video.frame_store import Store, is_prepared, read_store_key


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "shards").mkdir()
    (tmp_path / shard_name(3)).write_bytes(bytes(range(256)))
    return tmp_path


def test_bytes_of_a_shard(folder):
    for source in (folder, type(folder)(f"file://{folder}")):
        store = Store(source)
        assert store.read(3, 10, 4) == bytes([10, 11, 12, 13])
        assert store.read(3, 254, 9) == bytes([254, 255])
        assert store.size(shard_name(3)) == 256
        assert store.size(shard_name(4)) == -1
        assert not store.exists("frames.json")
        with pytest.raises(OSError, match="No such file"):
            store.read(4, 0, 1)


def test_a_folder_without_a_key(folder):
    assert not is_prepared(folder)
    with pytest.raises(ConfigError, match="holds no prepared frames"):
        read_store_key(Store(folder))
    (folder / "journal.jsonl").touch()
    assert is_prepared(folder)
    with pytest.raises(ConfigError, match="is not finished"):
        read_store_key(Store(folder))


def test_a_url_of_an_unknown_kind(folder):
    with pytest.raises(ConfigError, match="carrier://pigeon/frames cannot be opened"):
        Store(type(folder)("carrier://pigeon/frames"))
