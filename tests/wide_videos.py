"""Painted videos that are wide enough for decord, and their rows."""

from pathlib import Path
from typing import Any

from painted_videos import write_video

from vidmoco.video.info import VideoInfo
from vidmoco.video.probe import probe_video

WIDE = (256, 192)


def info_of(path: Path, **options: Any) -> VideoInfo:
    """Write a video and return its row."""
    write_video(path, **({"num_frames": 40, "size": WIDE} | options))
    return probe_video(path, root=path.parent)


def damaged(path: Path, *, share: float) -> VideoInfo:
    """As ``info_of``, of a video whose pictures after ``share`` of its bytes are noise."""
    write_video(path, num_frames=40, size=WIDE, gop=100, codec_options={"crf": "1"})
    data = bytearray(path.read_bytes())
    begin, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    start = begin + int((end - begin) * share)
    data[start:end] = bytes((7 * i + 3) % 256 for i in range(end - start))
    path.write_bytes(data)
    return probe_video(path, root=path.parent)
