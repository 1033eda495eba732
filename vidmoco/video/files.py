"""Find video files below a folder, and describe files that no demuxer understands."""

import codecs
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vidmoco.errors import VideoError
from vidmoco.video.info import VideoInfo

VIDEO_SUFFIXES = frozenset(
    {
        *(".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif", ".ivf", ".m1v"),
        *(".m2ts", ".m2v", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogm"),
        *(".ogv", ".qt", ".rm", ".rmvb", ".ts", ".vob", ".webm", ".wmv"),
    }
)
_LEADS_OUT = "the link leads out of the folder (--follow-links follows it)"
_HEAD_BYTES = 4096
_MAX_MOOV_BYTES = 64 * 2**20  # assumption: an index of hours of video is smaller


@dataclass(frozen=True)
class FoundFile:
    """A file to inspect, or with a ``problem`` one that cannot be inspected."""

    key: str
    num_bytes: int = 0
    mtime_ns: int = 0
    ctime_ns: int = 0
    problem: str = ""


def find_videos(root: Path, *, follow_links: bool = False) -> Iterator[FoundFile]:
    """Yield the files below ``root`` with a video suffix (in any case), and unreadable folders.

    Links are followed after all other entries, and each file and folder is visited once. So a loop
    of links ends, and a video that is linked twice is found once. Without ``follow_links`` a link
    that leads out of ``root`` is a problem: a folder from a stranger must not decide which files
    are read.
    """
    real_root = os.path.realpath(root)
    seen = {real_root}
    folders, links = [(root, real_root)], list[Path]()
    while folders or links:
        if folders:
            folder, real_folder = folders.pop()
            try:
                with os.scandir(folder) as entries:
                    found = sorted(entries, key=lambda entry: entry.name)
            except OSError as error:
                problem = f"the folder cannot be read: {error.strerror}"
                yield FoundFile(_key(folder, root) + "/", problem=problem)
                continue
            links += [folder / entry.name for entry in found if entry.is_symlink()]
            candidates = [
                (folder / entry.name, os.path.join(real_folder, entry.name))  # noqa: PTH118  (fast)
                for entry in found
                if not entry.is_symlink()
            ]
        else:
            link = links.pop(0)
            candidates = [(link, os.path.realpath(link))]
        for path, real_path in candidates:
            holds_root = real_root.startswith(real_path.rstrip("/") + "/")
            if real_path in seen or holds_root:
                continue
            leads_out = not real_path.startswith(real_root.rstrip("/") + "/")
            if leads_out and not follow_links and os.path.exists(path):  # noqa: PTH110
                if os.path.isdir(path):  # noqa: PTH112
                    yield FoundFile(_key(path, root) + "/", problem=_LEADS_OUT)
                elif path.suffix.lower() in VIDEO_SUFFIXES:
                    yield FoundFile(_key(path, root), problem=_LEADS_OUT)
                continue
            if os.path.isdir(path):  # noqa: PTH112  (never raises)
                seen.add(real_path)
                folders.append((path, real_path))
            elif path.suffix.lower() in VIDEO_SUFFIXES:
                seen.add(real_path)
                yield look_at(path, root=root)


def look_at(path: Path, *, root: Path) -> FoundFile:
    """Return size and time of a file, or why it cannot be read, without opening it."""
    key = _key(path, root)
    if os.fsencode(path.relative_to(root).as_posix()) != key.encode():
        return FoundFile(key, problem="its name is not valid UTF-8; rename it")
    try:
        status = path.stat()
    except OSError as error:
        if path.is_symlink():
            return FoundFile(key, problem="the link leads to no file")
        return FoundFile(key, problem=f"it cannot be read: {error.strerror}")
    if not stat.S_ISREG(status.st_mode):
        return FoundFile(key, problem="it is not a regular file")
    return FoundFile(
        key,
        num_bytes=status.st_size,
        mtime_ns=_in_64_bits(status.st_mtime_ns),
        ctime_ns=_in_64_bits(status.st_ctime_ns),
    )


def state_of(status: os.stat_result) -> tuple[int, int]:
    """Return size in bytes and time of the last change in nanoseconds, as a catalog has them."""
    return status.st_size, _in_64_bits(status.st_mtime_ns)


def _in_64_bits(nanoseconds: int) -> int:
    """Return a time as 64 bits hold it: one after the year 2262 as that."""
    return max(-(2**63), min(nanoseconds, 2**63 - 1))


def require_as_scanned(video: VideoInfo) -> None:
    """Raise ``VideoError`` if a video is refused, missing, or has changed since the scan."""
    if video.route == "refused":
        raise VideoError(f"{video.path}: {video.reason}.")
    try:
        status = video.path.stat()
    except OSError as error:
        raise VideoError(f"{video.path}: {error.strerror}. Scan again.") from error
    if state_of(status) != (video.num_bytes, video.mtime_ns):
        raise VideoError(f"{video.path}: the file has changed since the scan. Scan again.")


def describe_unknown(path: Path) -> str:
    """Return what a file is that no demuxer understands, judged by its first bytes."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        return "the file is empty"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith((b"#EXTM3U", b"ffconcat", b"<MPD", b"[playlist]")) or b"<MPD" in head:
        return "it is a playlist; the files it names are not followed"
    if head[4:8] in (b"ftyp", b"mdat", b"wide", b"free", b"skip", b"moov"):
        if find_moov(path) is None:
            return "it is an MP4 without its index (moov): the recording or the copy broke off"
        return "it is an MP4 whose index (moov) is damaged"
    if b"\0" not in head and _is_text(head):
        return "it is a text file"
    return "it is damaged, or not a video of a format that is read here"


def find_moov(path: Path) -> bytes | None:
    """Return the index (the ``moov`` box) of an MP4, or None if it is missing or cut off."""
    size = path.stat().st_size
    with path.open("rb") as file:
        position = 0
        while position + 8 <= size:
            file.seek(position)
            header = file.read(16)
            length, name = int.from_bytes(header[:4], "big"), header[4:8]
            if length == 1:  # a box of more than 4 GiB
                length = int.from_bytes(header[8:16], "big")
            elif length == 0:  # to the end of the file
                length = size - position
            if length < 8 or position + length > size:
                return None
            if name == b"moov":
                file.seek(position)
                return file.read(min(length, _MAX_MOOV_BYTES))
            position += length
    return None


def is_encrypted_mp4(path: Path) -> bool:
    """Return whether the video of an MP4 is encrypted (a sample entry ``encv``, ISO 14496-12 8.12).

    FFmpeg does not decrypt such packets, and would decode noise.
    """
    moov = find_moov(path)
    return moov is not None and b"encv" in moov and b"sinf" in moov


def _key(path: Path, root: Path) -> str:
    relative = path.relative_to(root).as_posix()
    return os.fsencode(relative).decode("utf-8", "backslashreplace")


def _is_text(head: bytes) -> bool:
    try:
        # Incremental, because the head may end within a character.
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True
