"""The manifest of a dataset: a table of all videos, made from the footers of the parts."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vidmoco.features.dataset import Dataset
from vidmoco.features.dataset_settings import MANIFEST
from vidmoco.features.extract_outputs import id_of
from vidmoco.urls import is_url

SCHEMA = pa.schema(
    [
        ("video", pa.string()),
        ("video_id", pa.string()),
        ("state", pa.string()),
        ("reason", pa.string()),
        ("rows", pa.int64()),
        ("seconds", pa.float64()),
        ("extract_seconds", pa.float64()),
        ("source", pa.string()),
        ("source_bytes", pa.int64()),
        ("damage", pa.string()),
        ("weights_hash", pa.string()),
        ("settings_hash", pa.string()),
    ]
)


@dataclass(frozen=True)
class Given:
    """A video that was given and has no rows."""

    video: str
    state: str
    """`failed`, `refused` or `pending`."""
    reason: str
    source: str
    seconds: float = 0.0


def write_manifest(dataset: Dataset, names: Sequence[str], without: Sequence[Given]) -> list[str]:
    """Write the table, and return the names of the videos that have gone.

    A video is `extracted`, `refused` by the scan, `failed`, `pending` or `vanished`: its rows stay,
    and its file is not there any more. One that was not given this time stays as it was, unless it
    has neither rows nor a file.

    Args:
        dataset: its parts.
        names: videos that were given.
        without: those of them, and others, that have no rows.
    """
    hashes = {
        "weights_hash": dataset.settings["weights_hash"],
        "settings_hash": dataset.settings_hash,
    }
    found: dict[str, dict[str, Any]] = {}
    for row in _before(dataset):
        if row["state"] in ("failed", "refused", "pending") and not _is_gone(row["source"]):
            found[row["video"]] = row | {"rows": 0}
    for one in without:
        found[one.video] = {
            "video": one.video,
            "video_id": id_of(one.video),
            "state": one.state,
            "reason": one.reason,
            "rows": 0,
            "seconds": one.seconds,
            "source": one.source,
            **hashes,
        }
    missing = {one.video: one for one in without}
    given, vanished = set(names), list[str]()
    for video, places in dataset.places.items():
        entry = places[-1].entry
        gone = video not in given and _is_gone(entry.source)
        vanished += [video] * gone
        state, reason = "extracted", ""
        if gone:
            state, reason = "vanished", "its file is not there any more"
        elif video in missing:  # it has changed, and its rows are those of before
            state, reason = missing[video].state, missing[video].reason
        found[video] = {
            "video": video,
            "video_id": entry.video_id,
            "state": state,
            "reason": reason,
            "rows": sum(place.entry.rows for place in places),
            "seconds": entry.seconds,
            "extract_seconds": entry.extract_seconds,
            "source": entry.source,
            "source_bytes": entry.source_bytes,
            "damage": " ".join(entry.damage),
            **hashes,
        }
    rows = [found[video] for video in sorted(found)]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), buffer)
    dataset.folder.write(MANIFEST, buffer.getvalue())
    return vanished


def _before(dataset: Dataset) -> list[dict[str, Any]]:
    """Return the rows of the last manifest; none if it cannot be read, as it is made anew."""
    try:
        file = io.BytesIO(dataset.folder.read(MANIFEST))
    except FileNotFoundError:
        return []
    try:
        return pq.read_table(file, schema=SCHEMA).to_pylist()  # type: ignore[no-any-return]
    except (pa.ArrowException, ValueError):
        return []


def _is_gone(source: str) -> bool:
    return not is_url(Path(source)) and not Path(source).exists()
