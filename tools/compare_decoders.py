"""Count the wrong frames of several decoders by kind of file; prints a Markdown table.

    python tools/compare_decoders.py
    python tools/compare_decoders.py FOLDER --kind "open GOP"

Each picture of the generated videos encodes its own index. 60 frames of each video are read in
random order, each from a freshly opened file: by vidmoco at the time of the frame, by decord and
torchcodec at its index, by PyAV with a seek and a decode up to its time, as in a simple script. A
missing frame is counted separately (!). Run this from a checkout: the tests' painter makes the
videos.
"""

import argparse
import importlib.util
import random
import sys
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from decoder_reads import Pick, build_decord, build_naive_pyav, build_torchcodec, build_vidmoco
from painted_videos import read_index, write_video

from vidmoco.video.info import VideoInfo
from vidmoco.video.probe import probe_video
from vidmoco.workers.pool import WorkerPool

NUM_PICKS, NUM_FRAMES, SIZE = 60, 120, (256, 192)
VARYING = [0.1 * i + 0.03 * (i * i % 3) for i in range(NUM_FRAMES)]
MPEG2 = {"codec": "mpeg2video", "fps": 25}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "H.264, closed GOP, mp4": ("closed.mp4", {}),
    "H.264, closed GOP, mkv": ("closed.mkv", {}),
    "H.264, closed GOP, ts": ("closed.ts", {}),
    "H.264 with B-frames, avi": ("closed.avi", {}),
    "H.264, open GOP, mp4": ("open.mp4", {"open_gop": True}),
    "H.264, open GOP, mkv": ("open.mkv", {"open_gop": True}),
    "H.264, open GOP, ts": ("open.ts", {"open_gop": True}),
    "H.264, one GOP, mp4": ("long.mp4", {"gop": 9999}),
    "H.264 4:4:4, mp4": ("444.mp4", {"pixel_format": "yuv444p"}),
    "HEVC, mp4": ("hevc.mp4", {"codec": "libx265"}),
    "HEVC, open GOP, mp4": ("hevc-open.mp4", {"codec": "libx265", "open_gop": True}),
    "HEVC 10 bit, mp4": ("hevc10.mp4", {"codec": "libx265", "pixel_format": "yuv420p10le"}),
    "VP9, webm": ("vp9.webm", {"codec": "libvpx-vp9"}),
    "AV1, mp4": ("av1.mp4", {"codec": "libsvtav1"}),
    "MPEG-4 with B-frames, avi": ("mpeg4.avi", {"codec": "mpeg4"}),
    "MPEG-2, ts": ("mpeg2.ts", MPEG2),
    "MPEG-2, mpg": ("mpeg2.mpg", MPEG2),
    "MJPEG, avi": ("mjpeg.avi", {"codec": "mjpeg", "pixel_format": "yuvj420p"}),
    "variable rate, mp4": ("varying.mp4", {"times": VARYING}),
    "variable rate, mkv": ("varying.mkv", {"times": VARYING}),
    "edit list, mp4": ("trimmed.mp4", {"hidden_frames": 17}),
    "rotation 90, mp4": ("turned.mp4", {"rotation": 90}),
    "start at 5 s, mkv": ("late.mkv", {"start_seconds": 5.0}),
    "96 x 64, mp4": ("narrow.mp4", {"size": (96, 64)}),
    "pixels 4:3, mp4": ("stretched.mp4", {"sample_aspect_ratio": Fraction(4, 3)}),
    "flipped bytes, mp4": ("flipped.mp4", {"gop": 30}),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="where the videos are written")
    parser.add_argument("--kind", default="", help="only the kinds whose name has this text")
    args = parser.parse_args()
    kinds = {kind: made for kind, made in KINDS.items() if args.kind in kind}
    if not kinds:
        parser.error(f"no kind has {args.kind!r} in its name; the kinds are: {'; '.join(KINDS)}")
    if args.folder is not None and not args.folder.is_dir():
        parser.error(f"{args.folder} is not a folder")
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        columns = {
            "vidmoco": build_vidmoco,
            "decord2": build_decord,
            "PyAV, seek": build_naive_pyav,
        }
        if importlib.util.find_spec("torchcodec") is not None:
            columns["torchcodec"] = build_torchcodec
        print(f"| wrong of {NUM_PICKS} (! = no frame) | route | {' | '.join(columns)} |")
        print("|---" * (2 + len(columns)) + "|")
        pools = {name: start(build) for name, build in columns.items()}
        for kind, (file_name, options) in kinds.items():
            path = folder / file_name
            times = write_video(path, **({"num_frames": NUM_FRAMES, "size": SIZE} | options))
            if kind.startswith("flipped"):
                flip_bytes(path)
            video = probe_video(path.absolute(), root=folder.absolute())
            hidden = options.get("hidden_frames", 0)
            picks = picks_of(video, times[hidden:])
            cells = [count_wrong(pool, picks, first=hidden) for pool in pools.values()]
            print(f"| {kind} | {video.route} | {' | '.join(cells)} |", flush=True)
        for pool in pools.values():
            pool.close()


def start(build: Callable[[], Any]) -> WorkerPool[Pick, np.ndarray]:
    """Return a process for a decoder, because some crash or hang."""
    return WorkerPool(build, workers=1, max_memory=4 * 2**30, max_seconds=60.0)


def picks_of(video: VideoInfo, times: list[float]) -> list[Pick]:
    """Return the requested frames in random order."""
    indices = [i % len(times) for i in range(NUM_PICKS)]
    random.Random(video.key).shuffle(indices)
    # Ask a little after the frame appears, because containers round their times.
    return [Pick(video, index, times[index] + 0.005) for index in indices]


def count_wrong(pool: WorkerPool[Pick, np.ndarray], picks: list[Pick], *, first: int) -> str:
    """Return the numbers of wrong and of missing frames as text."""
    wrong = missing = 0
    for report in pool.map(picks):
        if report.value is None:
            missing += 1
            continue
        try:
            wrong += read_index(report.value) != first + report.job.index
        except ValueError:  # the picture encodes no index
            wrong += 1
    return f"{'**' if wrong else ''}{wrong}{'**' if wrong else ''}" + (
        f" {missing}!" * bool(missing)
    )


def flip_bytes(path: Path) -> None:
    """Write random bytes over the middle of three pictures."""
    generator = random.Random(0)
    with av.open(str(path)) as opened:
        packets = [packet for packet in opened.demux(video=0) if packet.size]
        middles = [packets[number].pos + packets[number].size // 2 for number in (20, 50, 80)]
    data = bytearray(path.read_bytes())
    for middle in middles:
        data[middle : middle + 12] = generator.randbytes(12)
    path.write_bytes(data)


if __name__ == "__main__":
    main()
