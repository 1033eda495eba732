import socket
import struct
import threading
import time
from collections import Counter
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import aiohttp
import fsspec
import pytest
from painted_videos import write_video

from vidmoco.errors import VideoError
from vidmoco.video import fetch as fetch_module
from vidmoco.video.fetch import AHEAD, fetch, fetched, name_of_url


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://host/a/clip.mp4", "host/a/clip.mp4"),
        ("https://me:secret@host:80/clip%20one.mp4?key=1#x", "host:80/clip one.mp4?key=1"),
        ("https://host/get?id=a.mp4", "host/get?id=a.mp4"),
        ("https://host/get?id=../b/c.mp4&token=12", "host/get?id=..%2Fb%2Fc.mp4"),
        ("https://host/a.mp4?X-Amz-Date=1&X-Amz-Signature=2", "host/a.mp4"),
        ("https://host?id=a", "host?id=a"),
        ("s3://bucket/../../etc/clip.mp4", "bucket/etc/clip.mp4"),
        ("https://host/%2e%2e/%2Fetc/passwd", "host/etc/passwd"),
        ("file:///v/clip.mp4", "v/clip.mp4"),
    ],
)
def test_the_name_of_a_url_stays_below_a_folder(url, name):
    assert name_of_url(url) == name


def test_a_file_is_copied_whole(remote, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch_module, "_BYTES_AT_ONCE", 7)
    content = bytes(range(100))
    remote.pipe_file("/shelf/a", content)
    fetch("memory://shelf/a", tmp_path / "a", most_bytes=100)
    assert (tmp_path / "a").read_bytes() == content


@pytest.mark.parametrize("knows_size", [True, False])
def test_a_file_that_is_too_large_leaves_nothing(remote, tmp_path, monkeypatch, knows_size):
    remote.pipe_file("/shelf/a", bytes(2**20 + 1))
    honest = fsspec.open

    class Sizeless:
        """A file of a server that does not say how long it is."""

        def __init__(self, *arguments):
            self.file = honest(*arguments)

        def __enter__(self):
            self.read = self.file.__enter__().read
            return self

        def __exit__(self, *error):
            self.file.__exit__(*error)

    if not knows_size:
        monkeypatch.setattr(fsspec, "open", Sizeless)
    with pytest.raises(VideoError, match=r"^memory://shelf/a: it has more than 0\.000976"):
        fetch("memory://shelf/a", tmp_path / "a", most_bytes=2**20)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("url", "reason"), [("memory://gone", "memory://gone: "), ("nosuch://a", "Protocol not known")]
)
def test_what_cannot_be_fetched_is_said(tmp_path, url, reason):
    with pytest.raises(VideoError, match=f"{url}: it cannot be fetched: ") as refused:
        fetch(url, tmp_path / "a", most_bytes=100)
    assert reason in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_what_is_fetched_is_inspected(remote, tmp_path, monkeypatch):
    begun = []
    build = fetch_module.probe_pool
    monkeypatch.setattr(fetch_module, "probe_pool", lambda *args: begun.append(1) or build(*args))
    folder = tmp_path / "temporary"
    folder.mkdir()
    write_video(tmp_path / "a.mp4", num_frames=3)
    remote.pipe_file("/shelf/a.mp4", (tmp_path / "a.mp4").read_bytes())
    remote.pipe_file("/shelf/text.mp4", b"no video")
    urls = [f"memory://shelf/{name}.mp4" for name in ("a", "gone", "text")]
    rows = fetched([(url, url) for url in urls], folder, most_bytes=2**20)
    assert not list(folder.iterdir())
    (url, first), (_, gone), (_, text) = rows
    assert url == urls[0]
    assert (first.num_frames, first.route) == (3, "pyav")
    assert (gone.route, text.route) == ("refused", "refused")
    assert gone.reason.startswith("it cannot be fetched: ")
    assert text.reason == "it is a text file"
    assert len(begun) == 1  # a process for each would cost half a second


def test_the_next_files_are_fetched_meanwhile_and_come_in_order(remote, tmp_path, monkeypatch):
    write_video(tmp_path / "a.mp4", num_frames=3)
    barrier = threading.Barrier(AHEAD, timeout=300)

    def together(url, path, **options):
        barrier.wait()  # it breaks if they come one after the other
        path.write_bytes((tmp_path / "a.mp4").read_bytes())

    monkeypatch.setattr(fetch_module, "fetch", together)
    asked = []

    def todo():
        for number in range(2 * AHEAD):
            asked.append(number)
            yield f"memory://{number}.mp4", number
        yield "", "local"

    rows = fetched(todo(), tmp_path, most_bytes=2**20)
    number, row = next(rows)
    assert number == 0 and row.num_frames == 3
    assert asked == [*range(AHEAD + 1)]
    *others, last = rows
    assert [number for number, _ in others] == [*range(1, 2 * AHEAD)]
    assert last == ("local", None)
    (only,) = fetched([("", "local")], tmp_path, most_bytes=1)
    assert only == ("local", None)


def test_the_end_does_not_wait_for_downloads(tmp_path, monkeypatch):
    ended, told = threading.Event(), []

    def silent(url, path, *, stopped, **options):
        if url.endswith("gone"):
            raise VideoError("memory://gone: it is not there.")
        ended.wait()
        told.append(stopped.is_set())

    monkeypatch.setattr(fetch_module, "fetch", silent)
    todo = [("memory://gone", 0), ("memory://silent", 1)]
    with closing(fetched(todo, tmp_path, most_bytes=1)) as rows:
        assert next(rows)[1].reason == "it is not there"
    ended.set()
    while not told:
        time.sleep(0.01)
    assert told == [True]


def test_a_download_that_is_not_wanted_any_more_ends(remote, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch_module, "_BYTES_AT_ONCE", 7)
    remote.pipe_file("/shelf/a", bytes(100))
    stopped = threading.Event()
    fetch("memory://shelf/a", tmp_path / "a", most_bytes=100, stopped=stopped)
    stopped.set()
    with pytest.raises(VideoError, match="it is not wanted any more"):
        fetch("memory://shelf/a", tmp_path / "a", most_bytes=100, stopped=stopped)
    assert not list(tmp_path.iterdir())


class Slow(BaseHTTPRequestHandler):
    """Sends some bytes, and a pause between them; from ``/stuck`` nothing after the first ones."""

    def do_HEAD(self):
        self.send_response(200)
        self.send_header("Content-Length", "4000")
        self.end_headers()

    def do_GET(self):
        self.do_HEAD()
        with suppress(ConnectionError):
            for _ in range(4):
                self.wfile.write(bytes(1000))
                self.wfile.flush()
                time.sleep(3.0 if self.path == "/stuck" else 0.5)

    def log_message(self, *words):
        pass


@pytest.fixture
def slow_server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_slow_download_is_brought_to_its_end_and_a_stuck_one_is_not(
    slow_server, tmp_path, monkeypatch
):
    """The usual limit of 300 s, here 1 s, is on a whole download."""
    monkeypatch.setattr("aiohttp.client.DEFAULT_TIMEOUT", aiohttp.ClientTimeout(total=1.0))
    fetch(f"{slow_server}/a.mp4", tmp_path / "a.mp4", most_bytes=10**6)
    assert (tmp_path / "a.mp4").stat().st_size == 4000
    monkeypatch.setattr(fetch_module, "_SECONDS_OF_SILENCE", 1.0)
    monkeypatch.setattr(fetch_module, "PAUSES", ())
    with pytest.raises(VideoError, match=r"it cannot be fetched: \w+ \w+ ") as refused:
        fetch(f"{slow_server}/stuck", tmp_path / "b.mp4", most_bytes=10**6)
    assert "FSTimeoutError" not in str(refused.value)


class Faulty(BaseHTTPRequestHandler):
    """Answers ``/WORD/N/name`` N times with a fault, and then with 4000 bytes.

    A word is a status, or ``reset``, or ``short``: 1000 of the bytes.
    """

    asked: Counter[str]

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        type(self).asked[self.path] += 1
        self.answer()

    def answer(self):
        word, times, _ = self.path.strip("/").split("/")
        fails = type(self).asked[self.path] <= int(times)
        if fails and word == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            return
        is_status = fails and word.isdigit()
        self.send_response(int(word) if is_status else 200)
        self.send_header("Content-Length", "0" if is_status else "4000")
        self.end_headers()
        if self.command == "GET" and not is_status:
            self.wfile.write(bytes(1000 if fails else 4000))
        self.close_connection = True

    def log_message(self, *words):
        pass


@pytest.fixture
def faulty_server():
    handler = type("Handler", (Faulty,), {"asked": Counter()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.asked = handler.asked
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("word", ["429", "500", "503", "reset", "short"])
def test_what_passes_is_tried_again(faulty_server, tmp_path, monkeypatch, word):
    monkeypatch.setattr(fetch_module, "PAUSES", (0.0, 0.0, 0.0))
    url = f"http://127.0.0.1:{faulty_server.server_port}"
    fetch(f"{url}/{word}/2/a.mp4", tmp_path / "a", most_bytes=10**6)
    assert (tmp_path / "a").read_bytes() == bytes(4000)
    with pytest.raises(VideoError, match=r"it cannot be fetched: .* \(4 attempts\)\.$"):
        fetch(f"{url}/{word}/99/a.mp4", tmp_path / "b", most_bytes=10**6)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("/403/99/a", "403 Forbidden"),
        ("/404/99/a?token=secret", "404 Not Found"),
        ("/410/99/a", "410 Gone"),
    ],
)
def test_what_a_server_refuses_is_said_at_once(faulty_server, tmp_path, place, reason):
    faulty = f"127.0.0.1:{faulty_server.server_port}{place}"
    with pytest.raises(VideoError) as refused:
        fetch(f"http://me:secret@{faulty}", tmp_path / "a", most_bytes=100)
    shown = f"http://{faulty}".partition("?")[0]
    assert str(refused.value) == f"{shown}: it cannot be fetched: {reason}."
    assert faulty_server.asked[place] == 1


def test_a_server_that_is_not_there(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/a.mp4"
        with pytest.raises(VideoError, match=r"it cannot be fetched: Connection refused\.$"):
            fetch(url, tmp_path / "a", most_bytes=100)


def test_nothing_waits_for_another_attempt_that_is_not_wanted(faulty_server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch_module, "PAUSES", (10_000.0,))
    stopped = threading.Event()
    stopped.set()
    url = f"http://127.0.0.1:{faulty_server.server_port}/503/99/a"
    with pytest.raises(VideoError, match=r"503 Service Unavailable\.$"):
        fetch(url, tmp_path / "a", most_bytes=100, stopped=stopped)


def test_a_file_of_fewer_bytes_than_its_size(remote, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch_module, "PAUSES", (0.0,))
    remote.pipe_file("/shelf/a", bytes(100))
    honest = fsspec.open

    class Longer:
        def __init__(self, *arguments):
            self.file = honest(*arguments)

        def __enter__(self):
            self.read, self.size = self.file.__enter__().read, 120
            return self

        def __exit__(self, *error):
            self.file.__exit__(*error)

    monkeypatch.setattr(fsspec, "open", Longer)
    with pytest.raises(VideoError, match=r"it ends after 100 of 120 bytes \(2 attempts\)\.$"):
        fetch("memory://shelf/a", tmp_path / "a", most_bytes=1000)
