"""Find video files below a folder, and describe files that no demuxer understands."""

import os
import stat
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vidmoco.errors import VideoError
from vidmoco.video.info import VideoInfo
from vidmoco.video.other_files import MJPEG_SUFFIXES, describe_other, describe_text

VIDEO_SUFFIXES = frozenset(
    {
        *(".264", ".265", ".360", ".3g2", ".3gp", ".3gpp", ".amv", ".asf", ".avc", ".avi", ".dav"),
        *(".divx", ".dv", ".evo", ".f4v", ".flv", ".gif", ".h264", ".h265", ".hevc", ".insv"),
        *(".ismv", ".ivf", ".m1v", ".m2p", ".m2s", ".m2t", ".m2ts", ".m2v", ".m4s", ".m4v"),
        *(".mk3d", ".mkv", ".mod", ".mov", ".mp2v", ".mp4", ".mpe", ".mpeg", ".mpg", ".mpv"),
        *(".mqv", ".mts", ".mxf", ".nut", ".obu", ".ogm", ".ogv", ".ogx", ".qt", ".rm", ".rmvb"),
        *(".tod", ".tp", ".trp", ".ts", ".vob", ".vro", ".webm", ".wmv", ".wtv", ".xvid", ".y4m"),
        *MJPEG_SUFFIXES,
    }
)
# Not looked into: unfinished downloads, and what cameras add to each video in low resolution.
_NEVER = frozenset(
    {
        *(".part", ".crdownload", ".download", ".opdownload", ".partial", ".tmp", ".!ut", ".!qb"),
        *(".lrv", ".lrf", ".thm", ".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"),
        *(".heic", ".npy", ".npz", ".parquet", ".pt", ".pth", ".safetensors", ".zip"),
        *(".gz", ".tar", ".7z", ".txt", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml"),
        *(".md", ".py", ".srt", ".vtt", ".ass", ".sub", ".idx", ".nfo", ".html", ".pdf", ".log"),
        *(".mp3", ".wav", ".m4a", ".aac", ".flac", ".oga", ".opus", ".wma", ".mka"),
    }
)
_NO_VIDEO_BRANDS = (b"M4A", b"M4B", b"hei", b"mif", b"avif", b"crx", b"jp2", b"msf")
_STARTS = (
    *(b"\x1aE\xdf\xa3", b"\0\0\1\xba", b"\0\0\1\xb3", b"FLV\1", b".RMF", b"DKIF"),
    *(b"0&\xb2u\x8ef\xcf\x11", b"\x06\x0e+4", b"YUV4MPEG2 "),
)
_OGG_VIDEO = (b"\x80theora", b"OVP80", b"video\0\0\0")  # the last one of OGM
_RAW = {
    **dict.fromkeys((0x67, 0x47, 0x27, 0x09, 0x06), "H.264"),
    **dict.fromkeys((0x40, 0x42, 0x44, 0x46, 0x4E), "HEVC"),
}
"""The first byte of the units that such streams begin with: parameters, delimiters, messages."""
_LEADS_OUT = "the link leads out of the folder (--follow-links follows it)"
_AGAIN = "Give the command again; a catalog that you keep needs another `vidmoco scan`."
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


def find_videos(
    root: Path, *, follow_links: bool = False, others: Counter[str] | None = None
) -> Iterator[FoundFile]:
    """Yield the video files below ``root``, and unreadable folders.

    Videos are files with a suffix of videos, in any case, and those of unknown suffixes that begin
    like one. The rest is counted by suffix in ``others``, without hidden files. Hidden folders
    below ``root`` are not entered, because tools keep their copies there (``.git``), nor is what
    macOS writes beside a file (``._a.mp4``) a video.

    Links are followed after all other entries, and each file and folder is visited once. So a loop
    of links ends, and a video that is linked twice is found once. A file of an unknown suffix has
    the name of its link, if that has a suffix of videos. Without ``follow_links`` a link that leads
    out of ``root`` is a problem: a folder from a stranger must not decide which files are read.
    """
    real_root = os.path.realpath(root)
    seen = {real_root}
    folders, links, unknown = [(root, real_root)], deque[Path](), list[tuple[Path, str]]()
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
            link = links.popleft()
            candidates = [(link, os.path.realpath(link))]
        for path, real_path in candidates:
            if _is_hidden(path):
                _count(path, others)
                continue
            holds_root = real_root.startswith(real_path.rstrip("/") + "/")
            if real_path in seen or holds_root:
                continue
            leads_out = not real_path.startswith(real_root.rstrip("/") + "/")
            if leads_out and not follow_links and os.path.exists(path):  # noqa: PTH110
                if os.path.isdir(path):  # noqa: PTH112
                    yield FoundFile(_key(path, root) + "/", problem=_LEADS_OUT)
                elif path.suffix.lower() in VIDEO_SUFFIXES:
                    yield FoundFile(_key(path, root), problem=_LEADS_OUT)
                elif others is not None:
                    others["linked"] += 1
                continue
            if os.path.isdir(path):  # noqa: PTH112  (never raises)
                seen.add(real_path)
                folders.append((path, real_path))
            elif path.suffix.lower() in VIDEO_SUFFIXES:
                seen.add(real_path)
                yield look_at(path, root=root)
            elif path.suffix.lower() in _NEVER:
                _count(path, others)
            else:
                unknown.append((path, real_path))
    for path, real_path in unknown:
        if real_path not in seen and begins_like_video(path):
            seen.add(real_path)
            yield look_at(path, root=root)
        elif real_path not in seen:
            _count(path, others)


def _is_hidden(path: Path) -> bool:
    """Return whether an entry is what macOS writes beside a file, or a folder of tools."""
    name = path.name
    return name.startswith(".") and (name.startswith("._") or os.path.isdir(path))  # noqa: PTH112


def _count(path: Path, others: Counter[str] | None) -> None:
    """Count what is not read, but of hidden files only those that look like videos."""
    suffix = path.suffix.lower()
    if others is None:
        return
    if not path.name.startswith("."):
        others[suffix or "no suffix"] += 1
    elif os.path.isdir(path):  # noqa: PTH112  (never raises)
        others["hidden folder"] += 1
    elif suffix in VIDEO_SUFFIXES:
        others["._*"] += 1


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


def begins_like_video(path: Path) -> bool:
    """Return whether a file of an unknown suffix begins like a video."""
    if path.suffix.lower() in _NEVER or path.name.startswith("."):
        return False
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with path.open("rb") as file:
            head = file.read(400)
    except OSError:
        return False
    if head[4:8] == b"ftyp":
        return not head[8:].startswith(_NO_VIDEO_BRANDS)
    if head.startswith(b"OggS"):
        return any(name in head for name in _OGG_VIDEO)
    is_avi = head[:4] == b"RIFF" and head[8:12] == b"AVI "
    packets = (head[0:400:188], head[4:400:192])  # of MPEG-TS, also with times before each
    is_ts = any(len(marks) == 3 and marks == b"GGG" for marks in packets)
    return (
        is_avi or is_ts or head[4:8] == b"moov" or bool(_raw_kind(head)) or head.startswith(_STARTS)
    )


def _raw_kind(head: bytes) -> str:
    """Return the codec of a raw stream of H.264 or HEVC, or an empty string."""
    for start in (b"\0\0\0\1", b"\0\0\1"):
        if head.startswith(start) and len(head) > len(start):
            return _RAW.get(head[len(start)], "")
    return ""


def require_as_scanned(video: VideoInfo) -> None:
    """Raise ``VideoError`` if a video is refused, missing, or has changed since the scan."""
    if video.route == "refused":
        raise VideoError(f"{video.path}: {video.reason}.")
    try:
        status = video.path.stat()
    except OSError as error:
        raise VideoError(f"{video.path}: {error.strerror}. {_AGAIN}") from error
    if state_of(status) != (video.num_bytes, video.mtime_ns):
        raise VideoError(
            f"{video.path}: the file has changed since it was scanned. If it is still being "
            f"written, wait for its end. {_AGAIN}"
        )


def describe_unknown(path: Path) -> str:
    """Return what a file is that no demuxer understands, judged by its first bytes."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        return "the file is empty"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith((b"#EXTM3U", b"ffconcat", b"<MPD", b"[playlist]")) or b"<MPD" in head:
        return "it is a playlist; the files it names are not followed"
    if other := describe_other(head, path.suffix.lower()):
        return other
    if head[4:8] in (b"ftyp", b"mdat", b"wide", b"free", b"skip", b"moov"):
        if find_moov(path) is None:
            return "it is an MP4 without its index (moov): the recording or the copy broke off"
        return "it is an MP4 whose index (moov) is damaged"
    if kind := _raw_kind(head):
        return (
            f"it is a raw {kind} stream, which has no times; put it into a container, with its "
            "rate: ffmpeg -framerate 25 -i IN -c copy OUT.mp4"
        )
    if text := describe_text(head, path.suffix.lower()):
        return text
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
