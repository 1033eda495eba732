"""The index of a prepared folder: two tables that locate the frames of each video, and a key.

    frames.json           the key: settings, and names and checksums of the two tables (``key``)
    frames-N.parquet      a row per frame: video, pts_seconds, shard, offset, length, crc32, labels
    videos-N.parquet      a row per video: its state when it was prepared, and its frames
    shards/000000.tar     JPEG files named VIDEO/NUMBER.jpg, readable by WebDataset and tar

New tables get a new N, and then the key is replaced. So the folder is always in the old or in the
new state, even if the writing is interrupted.
"""

import hashlib
import json
from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vidmoco.atomic_file import atomic_write, flush_to_disk, remove_parts
from vidmoco.errors import ConfigError
from vidmoco.frames.key import KEY_FILE, SHARDS, TABLES, build_key, check_table, number_of_table

FRAME_COLUMNS = {
    "pts_seconds": pa.float64(),
    "shard": pa.int32(),
    "offset": pa.int64(),
    "length": pa.int32(),
    "crc32": pa.uint32(),
}


@dataclass(frozen=True, kw_only=True)
class VideoRow:
    """A prepared video."""

    name: str
    """Its key, preceded by the name of its folder if several folders have the same key."""
    num_bytes: int
    mtime_ns: int
    duration_seconds: float
    aspect_ratio: float
    """Displayed width / height."""
    num_frames: int
    """Number of kept frames."""
    shard: int
    start: int
    """First byte of its piece of the shard."""
    end: int
    dropped: str = ""
    """JSON: numbers of dropped frames by reason."""
    damage: str = ""
    """A description of the frames that could not be decoded."""
    path: str = ""
    """The absolute path of its file when it was last given. Empty in folders of version 1."""


_TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64()}
VIDEO_SCHEMA = pa.schema(
    [(name, _TYPES[kind]) for name, kind in VideoRow.__annotations__.items()]  # in their order
)


Entry = tuple[VideoRow, dict[str, list[Any]]]
"""A video, and the columns of its frames."""


@dataclass(frozen=True)
class FrameIndex:
    """The index of a prepared folder."""

    settings: dict[str, Any]
    videos: list[VideoRow]
    frames: pa.Table
    """Sorted by video and time; ``video`` is dictionary-encoded."""
    key: dict[str, Any] = field(default_factory=dict)
    """The key of the folder that the index was read from."""

    def shard_sizes(self) -> dict[int, int]:
        """Return the minimum size of each shard in bytes."""
        sizes: dict[int, int] = {}
        for video in self.videos:
            if video.num_frames:  # the shard of a video without frames may not exist
                sizes[video.shard] = max(sizes.get(video.shard, 0), video.end)
        return sizes

    def content(self) -> str:
        """Return a hash of everything that pairs depend on: names, shapes, times and JPEG files."""
        digest = hashlib.sha256()
        for video in self.videos:
            if video.num_frames:
                line = (video.name, video.duration_seconds, video.aspect_ratio, video.num_frames)
                digest.update(f"{line}\n".encode())
        for name, kind in (("pts_seconds", "<f8"), ("crc32", "<u4")):
            digest.update(self.frames[name].to_numpy().astype(kind).tobytes())
        return digest.hexdigest()

    def same_as(self, other: "FrameIndex") -> bool:
        """Return whether another index has the same videos and frames."""
        return self.videos == other.videos and self.frames.equals(other.frames)


def shard_name(number: int) -> str:
    """Return the path of a shard in its folder."""
    return f"{SHARDS}/{number:06d}.tar"


def write_index(folder: Path, index: FrameIndex) -> None:
    """Write both tables and the key atomically, and remove older tables.

    Raises:
        ConfigError, OSError: they cannot be written.
    """
    number = 1 + max(
        (
            int(found[1])
            for path in folder.glob("*.parquet")
            if (found := number_of_table(path.name))
        ),
        default=0,
    )
    rows = pa.Table.from_pylist([asdict(video) for video in index.videos], schema=VIDEO_SCHEMA)
    tables = {"frames": _parquet_of(index.frames), "videos": _parquet_of(rows)}
    key = build_key(
        index.settings,
        number=number,
        num_videos=len(index.videos),
        num_frames=index.frames.num_rows,
        content=index.content(),
        **tables,
    )
    for name, data in tables.items():
        (folder / key[name]).write_bytes(data)  # a new name, to which nothing refers yet
        flush_to_disk(folder / key[name])
    remove_parts(folder, KEY_FILE)
    with atomic_write(folder / KEY_FILE) as part:
        part.write_text(json.dumps(key, indent=2) + "\n", encoding="utf-8")
    remove_old_tables(folder, key)


def remove_old_tables(folder: Path, key: dict[str, Any]) -> None:
    """Remove tables that the key does not name: those of earlier or unfinished keys."""
    for path in folder.glob("*.parquet"):
        if number_of_table(path.name) and path.name not in (key[name] for name in TABLES):
            path.unlink(missing_ok=True)


def _parquet_of(table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue()


def read_tables(
    frames: bytes, videos: bytes, key: dict[str, Any], *, where: str
) -> tuple[pa.Table, list[VideoRow]]:
    """Return both tables from the content of their files.

    Raises:
        ConfigError: they are damaged, or do not match the key.
    """
    check_table("frames", frames, key, where=where)
    check_table("videos", videos, key, where=where)
    try:
        with pq.ParquetFile(pa.BufferReader(frames)) as file:
            frame_table = file.read()
        with pq.ParquetFile(pa.BufferReader(videos)) as file:
            rows = [VideoRow(**row) for row in file.read().to_pylist()]
    except (pa.ArrowException, OSError, TypeError, ValueError) as error:  # ValueError: not UTF-8
        reason = str(error).partition("\n")[0]
        raise ConfigError(
            f"The index of {where} cannot be read: {reason}. Prepare the videos into an empty "
            "folder."
        ) from error
    expected = (key["num_frames"], key["num_videos"])
    missing = {"video", *FRAME_COLUMNS} - set(frame_table.column_names)
    if missing or (frame_table.num_rows, len(rows)) != expected:
        raise ConfigError(
            f"The index of {where} is incomplete. Prepare the videos into an empty folder."
        )
    return frame_table, rows


def frame_table(
    names: list[str], columns: list[dict[str, np.ndarray]], labels: dict[str, dict[str, str]]
) -> pa.Table:
    """Return the table of the frames of some videos, with the labels of each video.

    ``columns`` has an array for every column of ``FRAME_COLUMNS``, for each video. ``labels`` are
    by column and by name of the video.
    """
    counts = [len(column["offset"]) for column in columns]
    index = np.repeat(np.arange(len(names), dtype=np.int32), counts)

    def repeat_per_frame(values: list[str]) -> pa.Array:
        distinct = sorted(set(values))
        code_of = {value: code for code, value in enumerate(distinct)}
        codes = np.array([code_of[value] for value in values], dtype=np.int32)
        return pa.DictionaryArray.from_arrays(pa.array(codes[index]), pa.array(distinct))

    arrays: dict[str, pa.Array] = {"video": repeat_per_frame(names)}
    for name, kind in FRAME_COLUMNS.items():
        values = [column[name] for column in columns]
        arrays[name] = pa.array(np.concatenate(values) if values else [], type=kind)
    for name, by_name in labels.items():
        arrays[name] = repeat_per_frame([by_name.get(video, "") for video in names])
    return pa.table(arrays)


def merge_index(
    known: FrameIndex | None,
    entries: Sequence[Entry],
    current: dict[str, tuple[int, int]],
    labels: dict[str, dict[str, str]],
    settings: dict[str, Any],
    *,
    lost: AbstractSet[str] = frozenset(),
    stay: Collection[str] = (),
) -> FrameIndex:
    """Return an up-to-date index from an earlier one and new videos.

    Args:
        known: the earlier index.
        entries: new videos, and the columns of their frames.
        current: size and mtime_ns of the current videos, by name.
        labels: labels by column and by name of the video. If empty, those of the earlier index
            stay.
        settings: settings of all frames.
        lost: videos of the earlier index whose frames are missing in the shards.
        stay: videos that ``labels`` are not about: they keep those of the earlier index.
    """
    rows: dict[str, VideoRow] = {}
    columns: dict[str, dict[str, np.ndarray]] = {}
    if known is not None:
        table = known.frames
        arrays = {name: table[name].to_numpy() for name in FRAME_COLUMNS}
        first = 0
        for row in known.videos:
            part = slice(first, first + row.num_frames)
            first += row.num_frames
            if row.name not in lost:
                rows[row.name] = row
                columns[row.name] = {name: array[part] for name, array in arrays.items()}
        labels = _merge_labels(_labels_of(known), labels, stay)
    for row, frames in entries:
        rows[row.name] = row
        columns[row.name] = {name: np.array(values) for name, values in frames.items()}
    names = sorted(
        name for name, row in rows.items() if current.get(name) == (row.num_bytes, row.mtime_ns)
    )
    return FrameIndex(
        settings=settings,
        videos=[rows[name] for name in names],
        frames=frame_table(names, [columns[name] for name in names], labels),
    )


def _merge_labels(
    known: dict[str, dict[str, str]], labels: dict[str, dict[str, str]], stay: Collection[str]
) -> dict[str, dict[str, str]]:
    """Return new labels, and beside them the known ones of the videos that ``stay``."""
    if not labels:
        return known
    old = {
        column: {name: label for name, label in by_name.items() if name in stay}
        for column, by_name in known.items()
    }
    columns = [*labels, *(one for one in old if one not in labels and any(old[one].values()))]
    return {column: old.get(column, {}) | labels.get(column, {}) for column in columns}


def _labels_of(index: FrameIndex) -> dict[str, dict[str, str]]:
    """Return the label columns of an index, each by the name of the video."""
    known = {"video", *FRAME_COLUMNS}
    columns = [name for name in index.frames.column_names if name not in known]
    with_frames = [row for row in index.videos if row.num_frames]
    videos = [row.name for row in with_frames]
    counts = np.array([0, *(row.num_frames for row in with_frames)])
    firsts = index.frames.select(columns).take(pa.array(counts.cumsum()[:-1]))
    return {name: dict(zip(videos, firsts[name].to_pylist(), strict=True)) for name in columns}
