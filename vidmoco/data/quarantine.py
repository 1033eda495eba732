"""Videos that killed a process, and the place in the order from which they are skipped."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from vidmoco.data.order import Place
from vidmoco.errors import CheckpointError
from vidmoco.json_text import parse_json


@dataclass(frozen=True)
class _Entry:
    row: int
    key: str
    step: int
    position: int
    reason: str


class Quarantine:
    """Rows of the catalog that are skipped, with reasons.

    A file keeps them, one JSON object per line. So a resumed run skips the same videos from the
    same places, without another crash. What other processes of the run have found, in the files
    beside it, is known too: the run may go on with fewer of them.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Read the files, if there are any.

        Raises:
            CheckpointError: the file is damaged.
        """
        self._path = path
        self._entries: dict[int, _Entry] = {}
        if path is not None:
            for one in sorted({path, *path.parent.glob("quarantine*.jsonl")}):
                if one.exists():
                    self._read(one)

    def _read(self, path: Path) -> None:
        try:
            text = path.read_text(encoding="utf-8")
            for line in text[: text.rfind("\n") + 1].splitlines():  # drops a partial last line
                self._remember(_Entry(**parse_json(line)))
        except (OSError, ValueError, TypeError) as error:
            raise CheckpointError(
                f"{path} cannot be read: {error}. It lists the videos that this run skips. Delete "
                "it to try them again."
            ) from error

    def add(self, row: int, place: Place, key: str, reason: str) -> None:
        """Skip a video from this place on."""
        entry = _Entry(row, key, place.step, place.position, reason)
        self._remember(entry)
        if self._path is not None:
            with self._path.open("a+b") as file:
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)  # drops a partial last line
                file.write(json.dumps(asdict(entry)).encode() + b"\n")

    def reason(self, row: int, place: Place) -> str:
        """Return why a video is skipped at a place, or an empty string."""
        entry = self._entries.get(row)
        if entry is None or place < Place(entry.step, entry.position):
            return ""
        return entry.reason

    def _remember(self, entry: _Entry) -> None:
        known = self._entries.get(entry.row)
        if known is None or (entry.step, entry.position) < (known.step, known.position):
            self._entries[entry.row] = entry
