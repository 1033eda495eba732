"""Videos that have killed a process, and from which place of the order on they are skipped."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from vidmoco.data.order import Place
from vidmoco.errors import CheckpointError


@dataclass(frozen=True)
class _Entry:
    row: int
    key: str
    step: int
    position: int
    reason: str


class Quarantine:
    """Rows of the catalog and why they are not read any more.

    With a file it is kept there, a line of JSON each, so that a run that resumes skips the same
    videos from the same places on, without dying of them again.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Read what the file holds, if there is one.

        Raises:
            CheckpointError: the file is damaged.
        """
        self._path = path
        self._entries: dict[int, _Entry] = {}
        if path is None or not path.exists():
            return
        try:
            text = path.read_text(encoding="utf-8")
            for line in text[: text.rfind("\n") + 1].splitlines():  # the last may be half written
                self._note(_Entry(**json.loads(line)))
        except (OSError, ValueError, TypeError) as error:
            raise CheckpointError(
                f"{path} cannot be read: {error}. It lists the videos that this run skips; delete "
                "it to try them again."
            ) from error

    def add(self, row: int, place: Place, key: str, reason: str) -> None:
        """Skip a video from a place on."""
        entry = _Entry(row, key, place.step, place.position, reason)
        self._note(entry)
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(entry)) + "\n")

    def reason(self, row: int, place: Place) -> str:
        """Return why a video is skipped at a place; empty: it is not."""
        entry = self._entries.get(row)
        skipped = entry is not None and place >= Place(entry.step, entry.position)
        return entry.reason if entry is not None and skipped else ""

    def _note(self, entry: _Entry) -> None:
        known = self._entries.get(entry.row)
        if known is None or (entry.step, entry.position) < (known.step, known.position):
            self._entries[entry.row] = entry
