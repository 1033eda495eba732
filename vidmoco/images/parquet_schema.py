"""What the schema of a Parquet file of images says: which column holds them, names of classes."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from vidmoco.errors import DataError, no_column
from vidmoco.json_text import parse_json


def class_names(schema: Any, label: str, path: Path) -> list[str] | None:
    """Return the names of the classes by number, or None if the metadata names none.

    Raises:
        DataError: the metadata cannot be read, or names a class twice.
    """
    text = (schema.metadata or {}).get(b"classes")
    if text is None:
        names = _features(schema).get(label, {}).get("names")
        if not isinstance(names, list) or not names:
            return None
    elif (decoded := text.decode("utf-8", errors="replace").strip()).startswith("["):
        try:
            names = list(parse_json(decoded))
        except ValueError as error:
            raise DataError(
                f"The metadata 'classes' of {path} is not a JSON list: {error}."
            ) from error
    else:
        names = [name.strip() for name in decoded.split(",")]
    names = [str(name) for name in names]
    if len(set(names)) != len(names):
        raise DataError(f"The metadata of {path} names a class twice.")
    return names


PATHS = ("path", "file_name", "filename", "image")
"""Columns that may have the paths of images, in a table or a list."""
_IMAGES = ("image", "img", "image.bytes")


def path_column(schema: Any) -> str | None:
    """Return the column with the paths of the images, or None if the table may have the images."""
    if any(_is_binary(kind) or has_member(kind, "bytes") for kind in schema.types):
        return None
    names = [name for name in _IMAGES if name in schema.names] or PATHS
    texts = [name for name in names if name in schema.names and is_text(schema.field(name).type)]
    return texts[0] if texts else None


def is_text(kind: Any) -> bool:
    """Return whether a type is strings."""
    checks = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(check(kind) for check in checks)


def image_column(schema: Any, path: Path) -> str:
    """Return the column, or struct member, that holds the bytes of the images.

    It is the one that Hugging Face's ``datasets`` notes as images, else ``image``, ``img`` or
    ``image.bytes``: binary, or a struct with ``bytes`` and perhaps ``path``.

    Raises:
        DataError: there is none, or it is of another type.
    """
    noted = [name for name, kind in _features(schema).items() if kind.get("_type") == "Image"]
    for name in (*(noted if len(noted) == 1 else ()), *_IMAGES):
        if name not in schema.names:
            continue
        kind = schema.field(name).type
        if _is_binary(kind):
            return str(name)
        if has_member(kind, "bytes"):
            return f"{name}.bytes"
        raise DataError(
            f"Column {name!r} of {path} is {kind}; expected binary, or a struct with 'bytes'."
        )
    raise DataError(no_column(path, "image", schema.names))


def image_bytes(column: Any) -> Any:
    """Return the bytes in a column of images, as (large) binary."""
    if pa.types.is_struct(column.type):
        column = pc.struct_field(column, "bytes")
    kind = column.type
    is_plain = pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    return column if is_plain else column.cast(pa.large_binary())


def _is_binary(kind: Any) -> bool:
    checks = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
    return any(check(kind) for check in checks)


def has_member(kind: Any, name: str) -> bool:
    """Return whether a type is a struct with this member."""
    return pa.types.is_struct(kind) and name in [kind.field(i).name for i in range(len(kind))]


def _features(schema: Any) -> dict[str, dict[str, Any]]:
    """Return what Hugging Face's ``datasets`` notes of each column, as far as it can be read."""
    try:
        noted = parse_json((schema.metadata or {}).get(b"huggingface", b"{}"))
        columns = noted["info"]["features"].items()
        return {name: kind for name, kind in columns if isinstance(kind, dict)}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
