"""Which files are images, by their names."""

from pathlib import Path

from vidmoco.video.files import VIDEO_SUFFIXES

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
    | {".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".avif"}
)


def may_hold_images(source: Path) -> bool:
    """Return whether the first image, Parquet file or video in a folder, at any depth, is no video.

    A folder with a video is one of videos, so most are looked at only until their first file.
    """
    suffixes = (path.suffix.lower() for path in source.rglob("*"))
    known = {*IMAGE_SUFFIXES, *VIDEO_SUFFIXES, ".parquet"}
    return next((one for one in suffixes if one in known), ".mp4") not in VIDEO_SUFFIXES
