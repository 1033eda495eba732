"""Files that are no videos, told by their first bytes, and what to do with them."""

import codecs
from collections import Counter
from collections.abc import Iterable

from vidmoco.text import counted

MJPEG_SUFFIXES = frozenset({".mjpeg", ".mjpg"})
_LISTS = frozenset({".txt", ".csv", ".tsv", ".lst", ".list"})
# The suffix says what ``embed`` and ``pretrain`` take for a picture.
_PICTURES = (
    (b"\xff\xd8\xff", "JPEG", ".jpg"),
    (b"\x89PNG\r\n\x1a\n", "PNG", ".png"),
    (b"II*\0", "TIFF", ".tif"),
    (b"MM\0*", "TIFF", ".tif"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000", ".jp2"),
)
_PACKED = (
    (b"PK\3\4", "a zip archive"),
    (b"\x1f\x8b", "packed by gzip"),
    (b"BZh", "packed by bzip2"),
    (b"\xfd7zXZ\0", "packed by xz"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd"),
    (b"Rar!\x1a\7", "a rar archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
)
_OTHERS = (
    (b"%PDF-", "it is a PDF document"),
    (b"nut/multimedia container\0", "it is a NUT file, which is not read; put its streams into "
     "another container: ffmpeg -i IN -c copy OUT.mkv"),
    (b"PAR1", "it is a Parquet file; a catalog needs the suffix .parquet"),
    (b"\x93NUMPY", "it is an array of NumPy"),
    (b"\x89HDF\r\n", "it is an HDF5 file"),
)  # fmt: skip
_MOST_SUFFIXES = 8
_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".jp2", ".avif"}
)


def describe_other(head: bytes, suffix: str = "") -> str:
    """Return what a file is that begins so, or an empty string if that is not known."""
    if suffix in MJPEG_SUFFIXES and head.startswith(_PICTURES[0][0]):
        return (
            "it is a raw MJPEG stream, which has no times; put it into a container, with its rate: "
            "ffmpeg -framerate 25 -i IN -c copy OUT.mkv"
        )
    for start, name, usual in _PICTURES:
        if head.startswith(start):
            animated = name == "PNG" and b"acTL" in head
            return _picture("APNG" if animated else name, usual, animated=animated)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return _picture("WebP", ".webp", animated=b"ANIM" in head[:64])
    if head[:2] == b"BM" and head[6:10] == bytes(4):
        return _picture("BMP", ".bmp", animated=False)
    if head[4:8] == b"ftyp" and head[8:12] in (b"avif", b"avis"):
        return _picture("AVIF", ".avif", animated=head[8:12] == b"avis")
    if head[4:8] == b"ftyp" and head[8:11] in (b"hei", b"hev", b"mif"):
        return "it is a picture (HEIF); convert it to JPEG for vidmoco.embed or `vidmoco pretrain`"
    for start, name in _PACKED:
        if head.startswith(start):
            return f"it is {name}; unpack it, and give what is in it"
    if head[257:262] == b"ustar":
        return "it is a tar archive; unpack it, and give what is in it"
    return next((what for start, what in _OTHERS if head.startswith(start)), "")


def _picture(name: str, suffix: str, *, animated: bool) -> str:
    if animated:
        return f"it is an animated picture ({name}); convert it to an MP4 or a GIF"
    return (
        f"it is a picture ({name}); vidmoco.embed and `vidmoco pretrain` take it, with the suffix "
        f"{suffix}"
    )


def others_line(others: Counter[str]) -> str:
    """Return a line on the files that are no videos, or an empty string."""
    if not others:
        return ""
    listed = [f"{suffix} ({count:,})" for suffix, count in others.most_common(_MOST_SUFFIXES)]
    if len(others) > _MOST_SUFFIXES:
        listed.append(f"{len(others) - _MOST_SUFFIXES:,} more suffixes")
    return f"{counted(others.total(), 'other file')}, not read: {', '.join(listed)}"


def pictures_line(suffixes: Iterable[str]) -> str:
    """Return where pictures go, as a sentence after others, if there are suffixes of any."""
    if _SUFFIXES.isdisjoint(suffixes):
        return ""
    return (
        " Pictures go to vidmoco.embed, or to `vidmoco pretrain`. If they are frames of videos: "
        "`vidmoco pretrain` takes them with --data.frame-rate, and other commands take a video: "
        "ffmpeg -framerate 25 -i FOLDER/%05d.jpg VIDEO.mp4"
    )


def describe_text(head: bytes, suffix: str) -> str:
    """Return what a file is that begins so, or an empty string if it is not text in UTF-8."""
    try:
        # Incremental, because the head may end within a character.
        text = codecs.getincrementaldecoder("utf-8")().decode(head).lstrip("\ufeff \t\r\n").lower()
    except UnicodeDecodeError:
        return ""
    if "\0" in text:
        return ""
    if text.startswith(("<!doctype html", "<html")):
        return "it is a web page; its link needs a login, or leads to a page that shows the video"
    if suffix in _LISTS:
        return "it is a text file; to give the videos that a list names, write @ before its path"
    return "it is a text file"
