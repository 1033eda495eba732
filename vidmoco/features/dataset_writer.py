"""Writes the features of videos into parts, as they come."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import pyarrow as pa

from vidmoco.features import dataset as dataset_module
from vidmoco.features.dataset import Dataset
from vidmoco.features.dataset_part import Entry, PartFile, table_of
from vidmoco.features.stream import VideoFeatures

_LONG = 16 * 2**20
"""Bytes of features. A shorter video is in memory until it is complete, and shares a part."""
_SECONDS = 60.0
"""What a kill costs at most, beside the videos that are under way: a part is finished after this
time, and merged with others when there are enough of them."""


class DatasetWriter:
    """Puts short videos together into parts, and gives long ones parts of their own.

    Args:
        dataset: what is written to.
        worker: the name of this process.
        on_commit: called with the ids of videos whose rows are there for others to see.
    """

    def __init__(
        self, dataset: Dataset, *, worker: str, on_commit: Callable[[Sequence[str]], None]
    ) -> None:
        self._dataset, self._worker, self._on_commit = dataset, worker, on_commit
        self._shared: tuple[str, PartFile] | None = None
        self._entries: list[Entry] = []
        self._began = 0.0
        self._small: list[str] = []

    def add(
        self,
        features: VideoFeatures,
        entry: Entry,
        *,
        named: Callable[[str], str] = str,
    ) -> int:
        """Compute the features of a video, write them, and return the number of rows.

        ``named`` gives a message the name of the video that a user knows.

        Raises:
            VideoError: no frame can be read, or the decoder hangs or crashes.
            ConfigError: the folder takes no more.
        """
        schema, began = self._dataset.schema, time.monotonic()
        waiting: list[pa.Table] = []
        num_rows = num_bytes = 0
        own: _LongVideo | None = None
        try:
            for piece in features.pieces:
                self._flush_if_old()  # a long video does not hold the rows of others back
                ends = features.ends[num_rows : num_rows + len(piece.times)]
                table = table_of(schema, entry, piece, ends=ends)
                num_rows, num_bytes = num_rows + table.num_rows, num_bytes + table.nbytes
                waiting.append(table)
                if own is None and num_bytes >= _LONG:
                    own = _LongVideo(self._dataset, self._worker, entry)
                if own is not None:
                    own.append(waiting)
                    waiting.clear()
            entry = replace(
                entry,
                rows=num_rows,
                damage=tuple(map(named, features.damage)),
                extract_seconds=round(time.monotonic() - began, 3),
            )
            if own is not None:
                own.finish(entry)
                self._on_commit([entry.video_id])
        except BaseException:
            if own is not None:
                own.discard()
            raise
        if own is None:
            self._append(waiting, entry)
        return num_rows

    def _append(self, tables: Sequence[pa.Table], entry: Entry) -> None:
        if self._shared is None:
            self._shared, self._began = self._dataset.new_file(self._worker), time.monotonic()
        _, file = self._shared
        try:
            for table in tables:
                file.append(table)
            self._entries.append(entry)
        except BaseException:  # Ctrl-C too: the columns may be of different lengths now
            self.discard()
            raise
        if file.num_bytes >= dataset_module.PART_BYTES:
            self.flush()
        self._flush_if_old()

    def _flush_if_old(self) -> None:
        if time.monotonic() - self._began >= _SECONDS:
            self.flush()

    def flush(self) -> None:
        """Finish the part that short videos share."""
        if self._shared is None:
            return
        (name, file), entries = self._shared, self._entries
        self._shared, self._entries = None, []
        self._dataset.commit(name, file, entries, worker=self._worker)
        self._on_commit([entry.video_id for entry in entries])
        own = [*self._small, name]
        self._dataset.merge_small(own, worker=self._worker, rest=False)
        self._small = [
            part.name
            for part in self._dataset.parts.values()
            if part.worker == self._worker and part.num_bytes < dataset_module.PART_BYTES // 2
        ]

    def discard(self) -> None:
        """Give up the part that is being written, after a failure."""
        if self._shared is not None:
            self._shared[1].discard()
            self._shared, self._entries = None, []


class _LongVideo:
    """The parts of a long video. They count when the last one is there."""

    def __init__(self, dataset: Dataset, worker: str, entry: Entry) -> None:
        self._dataset, self._worker, self._entry = dataset, worker, entry
        self._names: list[str] = []
        self._name, self._file = dataset.new_file(worker)

    def append(self, tables: Sequence[pa.Table]) -> None:
        for table in tables:
            size = self._file.num_bytes + table.nbytes
            if self._file.num_rows and size > dataset_module.PART_BYTES:
                self._commit(replace(self._entry, is_last=False))
                self._name, self._file = self._dataset.new_file(self._worker)
            self._file.append(table)

    def _commit(self, entry: Entry) -> None:
        entry = replace(entry, rows=self._file.num_rows, piece=len(self._names))
        self._dataset.commit(self._name, self._file, [entry], worker=self._worker)
        self._names.append(self._name)

    def finish(self, entry: Entry) -> None:
        self._commit(entry)

    def discard(self) -> None:
        self._file.discard()
        self._dataset.delete(self._names)
