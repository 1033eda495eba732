"""Write the shards of a prepared folder, with a journal of their videos.

A video is in a shard if its line is in the journal. Lines are written after the shard is on the
disk. After an interruption, everything in a shard beyond the journal is cut off.
"""

import json
import os
import shutil
import tarfile
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vidmoco.errors import ConfigError
from vidmoco.frames.index import Entry, VideoRow, shard_name
from vidmoco.frames.key import KEY_FILE, SHARDS
from vidmoco.frames.update import refuse_other_settings
from vidmoco.json_text import parse_json

JOURNAL = "journal.jsonl"
_SECONDS_BETWEEN_SYNCS = 5.0  # the work that a power failure may cost


class ShardWriter:
    """Appends the pieces of videos to shards of about ``shard_bytes``."""

    def __init__(
        self, folder: Path, *, settings: dict[str, Any], shard_bytes: int, first_shard: int
    ) -> None:
        """Continue from the folder's journal, or start with a new shard.

        Raises:
            ConfigError: the journal is damaged, or has other settings.
            OSError: the folder cannot be written.
        """
        self.folder, self._shard_bytes = folder, shard_bytes
        self._pending: list[str] = []
        self._synced = time.monotonic()
        (folder / SHARDS).mkdir(parents=True, exist_ok=True)
        self.entries = self._recover(settings)
        """Videos that are in the shards, but not yet in the index."""
        rows = [row for row, _ in self.entries if row.num_frames]
        self.shard = max([row.shard for row in rows], default=first_shard)
        self._position = max([row.end for row in rows if row.shard == self.shard], default=0)
        self._journal = (folder / JOURNAL).open("a", encoding="utf-8")
        if not self._journal.tell():  # written before any shard, to mark the folder as ours
            self._journal.write(json.dumps({"settings": settings}) + "\n")
            self._journal.flush()
        self._open()

    def _recover(self, settings: dict[str, Any]) -> list[Entry]:
        path = self.folder / JOURNAL
        if not path.exists():
            return []
        data = path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]  # drops a partial last line
        try:
            lines = [parse_json(line) for line in whole.decode("utf-8").splitlines()]
            earlier = lines[0]["settings"] if lines else settings
            entries = [(VideoRow(**line["video"]), line["frames"]) for line in lines[1:]]
        except (ValueError, TypeError, KeyError) as error:
            raise ConfigError(f"{path} is damaged: {error}. {self._advice()}") from error
        refuse_other_settings(self.folder, earlier, settings, state="holds an unfinished run")
        os.truncate(path, len(whole))
        for number in {row.shard for row, _ in entries if row.num_frames}:
            end = max(row.end for row, _ in entries if row.shard == number)
            shard = self.folder / shard_name(number)
            if not shard.exists() or shard.stat().st_size < end:
                raise ConfigError(f"{shard} is shorter than {path} says. {self._advice()}")
        return entries

    def _advice(self) -> str:
        """Return what to do about an unusable journal. The index is not affected."""
        useless = [JOURNAL] if (self.folder / KEY_FILE).exists() else [JOURNAL, SHARDS]
        names = " and ".join(str(self.folder / name) for name in useless)
        return f"Delete {names}, and give the same command again."

    def _open(self) -> None:
        path = self.folder / shard_name(self.shard)
        self._file = path.open("r+b" if self._position else "wb")
        self._file.truncate(self._position)
        self._file.seek(self._position)

    def append(self, piece: Path, *, num_bytes: int) -> tuple[int, int]:
        """Append a file and delete it. Return the shard and the offset of its first byte.

        Raises:
            OSError: it cannot be written. The shard does not change.
        """
        if self._position and self._position + num_bytes > self._shard_bytes:
            self.close_shard()
            self.shard, self._position = self.shard + 1, 0
            self._open()
        start = self._position
        try:
            with piece.open("rb") as source:
                shutil.copyfileobj(source, self._file, 2**20)
            self._file.flush()
        except OSError:
            self._file.truncate(start)
            self._file.seek(start)
            raise
        self._position = start + num_bytes
        piece.unlink()
        return self.shard, start

    def add(self, video: VideoRow, frames: dict[str, list[Any]]) -> None:
        """Add a video to the entries, and to the journal at the latest with the next ``sync``."""
        self.entries.append((video, frames))
        self._pending.append(json.dumps({"video": asdict(video), "frames": frames}) + "\n")
        if time.monotonic() - self._synced > _SECONDS_BETWEEN_SYNCS:
            self.sync()

    def sync(self) -> None:
        """Write the shard to the disk, and then the journal."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._journal.writelines(self._pending)
        self._pending.clear()
        self._journal.flush()
        os.fsync(self._journal.fileno())
        self._synced = time.monotonic()

    def close_shard(self) -> None:
        """Write the end of the tar file. A shard without a video is removed."""
        self.sync()
        if self._position:
            self._file.write(tarfile.NUL * (2 * tarfile.BLOCKSIZE))
            self._file.flush()
            os.fsync(self._file.fileno())
        self._file.close()
        if not self._position:
            (self.folder / shard_name(self.shard)).unlink()

    def forget_journal(self) -> None:
        """Remove the journal, whose videos are in the index now."""
        self._journal.close()
        (self.folder / JOURNAL).unlink()

    def close(self) -> None:
        """Close the files as they are. Another run can continue from the journal."""
        with suppress(OSError):  # a full disk has already been reported
            self._file.close()
        with suppress(OSError):
            self._journal.close()
