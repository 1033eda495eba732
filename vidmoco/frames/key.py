"""The key of a prepared folder, ``frames.json``: settings, and checksums of its two tables.

    {"format": "vidmoco.frames", "version": 2, "settings": {…}, "num_videos": 9, "num_frames": 180,
     "frames": "frames-1.parquet", "videos": "videos-1.parquet",
     "num_bytes": {"frames": 7015, "videos": 4226}, "sha256": {"frames": "…", "videos": "…"},
     "content": "…"}

``content`` is a hash of everything that pairs depend on, independent of the places in the shards.
"""

import hashlib
import re
from pathlib import Path
from typing import Any

from vidmoco.errors import ConfigError
from vidmoco.json_text import parse_json

KEY_FILE = "frames.json"
SHARDS = "shards"
TABLES = ("frames", "videos")
_FORMAT, _VERSION = "vidmoco.frames", 2
_OLDEST = 1  # its rows of videos have no path
_KINDS = {
    "settings": dict,
    "num_videos": int,
    "num_frames": int,
    "frames": str,
    "videos": str,
    "num_bytes": dict,
    "sha256": dict,
    "content": str,
}
_ADVICE = "Restore it from a copy, or prepare the videos into an empty folder."

number_of_table = re.compile(r"(?:frames|videos)-(\d+)\.parquet").fullmatch


def holds_key(folder: Path) -> bool:
    """Return whether a folder has the key of prepared frames, maybe a damaged one.

    Annotations of a set of videos may be called ``frames.json`` too.
    """
    try:
        with (folder / KEY_FILE).open("rb") as file:
            return _FORMAT.encode() in file.read(100) or (folder / SHARDS).is_dir()
    except OSError:
        return False


def build_key(
    settings: dict[str, Any],
    *,
    number: int,
    num_videos: int,
    num_frames: int,
    content: str,
    **tables: Any,
) -> dict[str, Any]:
    """Return the key of two tables, given as the content of their files."""
    return {
        "format": _FORMAT,
        "version": _VERSION,
        "settings": settings,
        "num_videos": num_videos,
        "num_frames": num_frames,
        **{name: f"{name}-{number}.parquet" for name in TABLES},
        "num_bytes": {name: len(tables[name]) for name in TABLES},
        "sha256": {name: hashlib.sha256(tables[name]).hexdigest() for name in TABLES},
        "content": content,
    }


def read_key(text: str, *, where: str) -> dict[str, Any]:
    """Return the content of a key file.

    Raises:
        ConfigError: it is damaged, or of another format or version.
    """
    path = f"{where}/{KEY_FILE}"
    try:
        key = dict(parse_json(text))
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path} is damaged: {error}. {_ADVICE}") from error
    if "format" in key and key["format"] != _FORMAT:
        raise ConfigError(
            f"{path} does not belong to prepared frames: its format is {key['format']!r}, not "
            f"{_FORMAT!r}. Give another folder."
        )
    if "version" in key and type(key["version"]) is not int:
        raise ConfigError(f"{path} is damaged: 'version' is {key['version']!r}. {_ADVICE}")
    if "version" in key and not _OLDEST <= key["version"] <= _VERSION:
        raise ConfigError(
            f"{where} was prepared by another version of vidmoco (its format is {key['version']}, "
            f"this version reads {_OLDEST} to {_VERSION}). Prepare it again into an empty folder."
        )
    for name in ("format", "version"):
        if name not in key:
            raise ConfigError(f"{path} is damaged: it has no {name!r}. {_ADVICE}")
    for name, kind in _KINDS.items():
        if not isinstance(key.get(name), kind) or (name in TABLES and not _is_table(key[name])):
            raise ConfigError(f"{path} is damaged: {name!r} is {key.get(name)!r}. {_ADVICE}")
    for name, kind in (("num_bytes", int), ("sha256", str)):
        if any(type(key[name].get(table)) is not kind for table in TABLES):
            raise ConfigError(f"{path} is damaged: {name!r} is {key[name]!r}. {_ADVICE}")
    return key


def _is_table(name: str) -> bool:
    return number_of_table(name) is not None


def check_table(table: str, data: bytes, key: dict[str, Any], *, where: str) -> None:
    """Compare the content of a table's file, ``"frames"`` or ``"videos"``, with the key.

    Raises:
        ConfigError: they do not match.
    """
    path, expected = f"{where}/{key[table]}", key["num_bytes"][table]
    if len(data) != expected:
        raise ConfigError(
            f"{path} is damaged: it has {len(data):,} bytes, expected {expected:,}. {_ADVICE}"
        )
    if hashlib.sha256(data).hexdigest() != key["sha256"][table]:
        raise ConfigError(f"{path} is damaged: its SHA-256 is not the one in {KEY_FILE}. {_ADVICE}")


def same_frames(saved: dict[str, Any], key: dict[str, Any]) -> bool:
    """Return whether two keys describe the same frames, independent of their shards."""
    return all(saved.get(name) == key[name] for name in ("format", "content"))
