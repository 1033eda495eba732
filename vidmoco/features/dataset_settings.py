"""The settings of a dataset of features, ``__vidmoco__/dataset.json``, and its other files."""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

from vidmoco.config.frame_selection import SELECTION_KEYS
from vidmoco.errors import ConfigError
from vidmoco.features.output_folder import OutputFolder
from vidmoco.features.remote_folder import INTERNAL
from vidmoco.json_text import parse_json
from vidmoco.urls import absolute

SETTINGS = f"{INTERNAL}/dataset.json"
MANIFEST = f"{INTERNAL}/manifest.parquet"
FORMAT = "vidmoco features 1"
PART = re.compile(r"part-(\d{6,})-[0-9a-f]{8}\.parquet")
"""The name of a part, with its number."""
_DECISIVE = (
    *("format", "weights_hash", "preprocess", "precision", "feature", *SELECTION_KEYS),
    *("times_file", "pool", "normalize", "dtype", "labels"),
)
"""What decides the rows, beside the videos."""


def read_settings(folder: OutputFolder) -> dict[str, Any] | None:
    """Return the settings of the dataset in a folder, or None if it has none.

    Raises:
        ConfigError: they are damaged.
    """
    try:
        text = folder.read(SETTINGS)
    except FileNotFoundError:
        return None
    try:
        found = parse_json(text.decode())
    except ValueError as error:
        raise ConfigError(f"{folder.name}/{SETTINGS} is damaged: {error}.") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ConfigError(f"{folder.name} is a dataset of another version of vidmoco.")
    return found


def changed_settings(known: dict[str, Any], given: dict[str, Any]) -> list[str]:
    """Return the names of the settings that decide the rows and are not equal."""
    # Clips are in the sidecars of files. A dataset has those of a video in its identity.
    return [key for key in (*_DECISIVE, "clips") if known.get(key) != given.get(key)]


def hash_of(settings: dict[str, Any]) -> str:
    """Return a hash of the settings that decide the rows."""
    decisive = {key: settings.get(key) for key in _DECISIVE}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]


def require_outside_of_datasets(output: Path) -> None:
    """Refuse an output within a folder that has a dataset.

    What reads a folder of Parquet files, such as pandas, fails at other files.

    Raises:
        ConfigError: a folder above has one.
    """
    for folder in absolute(output).parents:
        if os.path.isfile(folder / SETTINGS):  # noqa: PTH113  (never raises)
            raise ConfigError(
                f"{output} would be in {folder}, which has a dataset, and other files there make "
                f"it unreadable. Give another -o, or -o {folder} to add to the dataset."
            )


def require_no_other_files(folder: OutputFolder) -> None:
    """Refuse a folder that holds more than a dataset: what reads it would mix or fail.

    Names that begin with a dot or ``_`` are nobody's data.

    Raises:
        ConfigError: there are other files or folders, or the folder cannot be read.
    """
    try:
        names = folder.names()
    except FileNotFoundError:
        return
    foreign = [one for one in names if not one.startswith((".", "_")) and not PART.fullmatch(one)]
    if foreign:
        advice = ""
        if not is_dataset(folder):
            advice = ", or --format npy for a file per video"
        raise ConfigError(
            f"{folder.name} holds other files, such as {min(foreign)!r}, and a dataset needs a "
            f"folder of its own: readers such as pandas would mix them with it, or fail. Move them "
            f"out of it, or give another -o{advice}."
        )


def is_dataset(folder: OutputFolder) -> bool:
    """Return whether a folder has a dataset, which may be damaged."""
    return SETTINGS.rpartition("/")[2] in folder.sizes(INTERNAL)


def delete_dataset(folder: OutputFolder) -> None:
    """Delete the files of a dataset, and no others.

    A process that still writes to it sees that the settings are gone, and deletes what it puts from
    then on. Temporary files are left to it, and to ``tidy``.
    """
    folder.delete(*parts_in(folder), SETTINGS, MANIFEST)
    folder.delete(*parts_in(folder))  # put between the two


def parts_in(folder: OutputFolder) -> dict[str, int]:
    """Return the bytes of each part."""
    return {name: size for name, size in folder.sizes().items() if PART.fullmatch(name)}
