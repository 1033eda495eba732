"""Control a headless Chromium by the DevTools protocol over a pipe, without a library."""

import base64
import fcntl
import json
import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

_FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--remote-debugging-pipe", "--disable-dev-shm-usage",
]  # fmt: skip


class Chromium:
    """A browser with one page, for a ``with`` block."""

    def __init__(self, program: str, folder: Path) -> None:
        # Chromium reads commands from file descriptor 3 and writes answers to 4.
        theirs_in, self._to = map(_out_of_the_way, os.pipe())
        self._from, theirs_out = map(_out_of_the_way, os.pipe())
        shell = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
        words = ["bash", "-c", shell, "bash", program, *_FLAGS, f"--user-data-dir={folder}"]
        with (folder.parent / "chromium.log").open("wb") as log:
            self._process = subprocess.Popen(
                words, pass_fds=(theirs_in, theirs_out), stdin=subprocess.DEVNULL,
                stdout=log, stderr=log,
            )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self._number, self._buffer, self._session = 0, b"", ""
        self.events: list[dict] = []

    def __enter__(self) -> "Chromium":
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for part in ("Page", "Network", "Log", "Runtime"):
            self.call(f"{part}.enable")
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):
            self._send("Browser.close", {}, "")
        os.close(self._to)
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._from)

    def open(self, path: Path, *, width: int, height: int, dark: bool) -> None:
        """Show a file in a window of a given size and theme."""
        self.resize(width=width, height=height)
        theme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=theme)
        self.events.clear()
        self.call("Page.navigate", url=path.resolve().as_uri())
        end = time.monotonic() + 20
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            assert time.monotonic() < end, "the page does not load"
            self._read()

    def resize(self, *, width: int, height: int) -> None:
        """Set the size of the window in pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def value(self, expression: str) -> object:
        """Return the value of a JavaScript expression in the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def screenshot(self, *, whole: bool = False) -> bytes:
        """Return a PNG of the window, or of the whole page."""
        picture = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        return base64.b64decode(picture["data"])

    def requests(self) -> list[str]:
        """Return the addresses that the page requested, without embedded pictures."""
        addresses = [
            event["params"]["request"]["url"]
            for event in self.events
            if event["method"] == "Network.requestWillBeSent"
        ]
        return [address for address in addresses if not address.startswith("data:")]

    def complaints(self) -> list[str]:
        """Return the browser's messages about the page, such as refused styles."""
        return [
            json.dumps(event["params"])
            for event in self.events
            if event["method"] in ("Log.entryAdded", "Runtime.exceptionThrown")
        ]

    def call(self, method: str, **params: object) -> dict:
        """Send a command, wait for its answer and return it."""
        number = self._send(method, params, self._session)
        while True:
            answer = self._read()
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def _send(self, method: str, params: dict, session: str) -> int:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        return self._number

    def _read(self) -> dict:
        while b"\0" not in self._buffer:
            data = os.read(self._from, 2**16)
            assert data, "Chromium has ended"
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(line)
        if "method" in message:
            self.events.append(message)
        return message


def _out_of_the_way(descriptor: int) -> int:
    """Move a file descriptor away from 3 and 4."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(descriptor)
    return moved
