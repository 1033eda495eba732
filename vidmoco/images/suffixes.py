"""Which files are images, by their names."""

from pathlib import Path

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
    | {".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".avif"}
)


def may_hold_images(source: Path) -> bool:
    """Return whether there is an image or a Parquet file in a folder, at any depth."""
    return any(path.suffix.lower() in {*IMAGE_SUFFIXES, ".parquet"} for path in source.rglob("*"))
