import re
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from vidmoco.errors import ConfigError
from vidmoco.frames import store as module
from vidmoco.frames.index import shard_name
from vidmoco.frames.store import Store, is_prepared, read_store_key


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


def test_more_shards_than_files_may_be_open(folder, monkeypatch):
    monkeypatch.setattr(module, "MOST_OPEN", 2)
    for shard in range(4, 10):
        (folder / shard_name(shard)).write_bytes(bytes([shard] * 8))
    store = Store(folder)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(2):
        assert b"".join(store.read(shard, 4, 1) for shard in range(4, 10)) == bytes(range(4, 10))
    assert len(list(Path("/proc/self/fd").iterdir())) == before + 2


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


class WholeFiles(SimpleHTTPRequestHandler):
    """Python's own server knows no range requests: it sends whole files."""

    def log_message(self, *args):
        pass


@contextmanager
def served(folder, handler=WholeFiles):
    """Yield the URL of a folder on a server in a thread."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=folder)) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield type(folder)(f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
            thread.join()


class Parts(WholeFiles):
    """Answers a range request as RFC 9110 says."""

    def do_GET(self):
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if found is None:
            return super().do_GET()
        data = Path(self.translate_path(self.path)).read_bytes()
        part = data[int(found[1]) : int(found[2]) + 1]
        self.send_response(206)
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)


def test_a_server_that_sends_whole_files_only(folder):
    (folder / "frames.json").write_text("{}")
    with served(folder) as url:
        store = Store(url)
        assert store.content("frames.json") == b"{}"
        with pytest.raises(ConfigError, match=r"does not serve parts of files.* Copy the folder"):
            store.check_ranges()
        with pytest.raises(OSError, match=r"asked for 4 bytes, the server sent 256: it does not"):
            store.read(3, 10, 4)
    with served(folder, Parts) as url:
        store = Store(url)
        store.check_ranges()
        assert store.read(3, 10, 4) == bytes([10, 11, 12, 13])
        assert store.size(shard_name(3)) == 256
        assert store.size(shard_name(4)) == -1


def test_a_server_without_the_folder(folder):
    with served(folder) as url, pytest.raises(ConfigError, match="holds no prepared frames"):
        read_store_key(Store(url))
    with pytest.raises(ConfigError, match=r"http://127\.0\.0\.1:\d+ cannot be reached: .*[Cc]onn"):
        read_store_key(Store(url))


def test_a_server_that_refuses(folder):
    class Refusing(WholeFiles):
        def do_GET(self):
            self.send_error(403)

    with served(folder, Refusing) as url:
        with pytest.raises(ConfigError, match="cannot be reached: 403"):
            read_store_key(Store(url))
        with pytest.raises(OSError, match="403"):
            Store(url).read(3, 0, 1)
