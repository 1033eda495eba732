"""How several tools read files that bug reports are about; prints a Markdown table.

    python tools/compare_reports.py REPORTS [--vidmoco CHECKOUT ...]

Each picture of REPORTS encodes its index. A cell has the number of frames that a tool gives in one
pass, and after a slash how many of 20 random ones are wrong or missing: by vidmoco at the time of
the frame, by decord and torchcodec at its index, by PyAV with a seek and a decode up to its time,
as in a simple script. In bold: a wrong number, a wrong picture, or a wrong last time. ``--vidmoco``
adds a column for another checkout, such as an earlier version. ffmpeg is the program, if it is
there.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

# file: (frames that a player shows, index of the first, time of the last in seconds or None)
TRUTH: dict[str, tuple[int, int, float | None]] = {
    "k_nostss_mpeg4.mp4": (60, 0, 5.90),
    "k_nostss_mpeg2.mp4": (60, 0, 2.36),
    "i_idr_stss1.mp4": (60, 0, 5.90),
    "i_idrb_stss1.mp4": (60, 0, 5.90),
    "i_idr_noflag.mkv": (60, 0, 5.90),
    "k_nokey_mpeg4.mkv": (60, 0, 5.90),
    "k_nokey_vp9.mkv": (60, 0, 5.90),
    "field_each.ts": (48, 0, 1.88),
    "field_each.mp4": (48, 0, 1.88),
    "field_each.mkv": (48, 0, 1.88),
    "a_dup.mkv": (16, 0, 20.30),
    "m_pes2_b0.ts": (80, 0, 3.16),
    "m_pes2_hevc.ts": (80, 0, 3.16),
    "b_null_h264b.avi": (40, 0, 1.76),
    "b_null_h264nob.avi": (40, 0, 1.76),
    "q_sei_type5.mp4": (40, 0, 3.90),
    "q_sei_unreg2.mp4": (40, 0, 3.90),
    "d_cut110_hevc.ts": (60, 250, None),  # those after the first key frame
    "d_cut90_a.ts": (60, 250, 0.98),
    "v_raw.h264": (30, 0, None),
}
PICKS, SECONDS = 20, 60


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--vidmoco", type=Path, nargs="*", default=[], help="other checkouts")
    parser.add_argument("--read", nargs=2, help=argparse.SUPPRESS)  # a tool and a file: a process
    given = parser.parse_args()
    if given.read:
        try:
            found = READERS[given.read[0]](Path(given.read[1]))
        except Exception as error:  # of any kind, by the tool
            found = {"error": str(error)}
        print(json.dumps(found))
        return
    columns = [("vidmoco", None), *((f"vidmoco, {path.name}", path) for path in given.vidmoco)]
    columns += [(name, None) for name in ("ffmpeg", "decord", "torchcodec", "PyAV, seek")]
    print(f"| file | frames | {' | '.join(name for name, _ in columns)} |")
    print("|---" * (2 + len(columns)) + "|")
    for path in sorted(given.folder.iterdir()):
        if path.name in TRUTH:
            cells = [cell(path, name, checkout) for name, checkout in columns]
            print(f"| {path.name} | {TRUTH[path.name][0]} | {' | '.join(cells)} |", flush=True)


def cell(path: Path, tool: str, checkout: Path | None) -> str:
    """Return a tool's result as text. Each reads in a process of its own, because some hang."""
    package = checkout or Path(__file__).resolve().parent.parent
    reader = tool.partition(",")[0]
    try:
        ran = subprocess.run(
            [sys.executable, __file__, str(path.parent), "--read", reader, str(path)],
            env=os.environ | {"PYTHONPATH": str(package)},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        found = json.loads(ran.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        return "**hangs**"
    except (IndexError, ValueError):
        return "**crashes**"
    if "missing" in found:
        return "not there"
    if "error" in found:
        return "**error**"
    frames, first, last = TRUTH[path.name]
    right = found["indices"] == list(range(first, first + frames))
    last_found = found.get("last")
    in_time = last is None or last_found is None or abs(last_found - last) < 0.021
    shown = f"{len(found['indices'])}" + ("" if in_time else f", ends at {last_found:.2f} s")
    text = shown if right and in_time else f"**{shown}**"
    wrong = found.get("wrong")
    return text if wrong is None else text + (f" / **{wrong}**" if wrong else " / 0")


def index_of(picture: np.ndarray) -> int:
    """Return the index that a picture encodes, or -1."""
    from painted_videos import read_index

    try:
        return read_index(picture)
    except ValueError:
        return -1


def wrong_of(path: Path, read: Callable[[int], np.ndarray]) -> int:
    """Return how many of some random frames, by their place, are wrong or missing."""
    frames, first, _ = TRUTH[path.name]
    places = random.Random(path.name).sample(range(frames), min(PICKS, frames))
    wrong = 0
    for place in places:
        try:
            wrong += index_of(read(place)) != first + place
        except Exception:  # of any kind, by the tool
            wrong += 1
    return wrong


def by_vidmoco(path: Path) -> dict[str, Any]:
    """Read by the route of the scan."""
    from vidmoco.config.limits import DEFAULT_LIMITS
    from vidmoco.errors import VideoError
    from vidmoco.video.decode import read_frames
    from vidmoco.video.probe import probe_video
    from vidmoco.video.readers import build_fast_reader
    from vidmoco.video.sequential_reader import iter_frames

    video = probe_video(path.absolute(), root=path.parent.absolute())
    if video.route == "refused":
        return {"error": video.reason}
    try:
        shown = [(seconds, index_of(picture)) for seconds, picture in iter_frames(video)]
    except VideoError as error:
        return {"error": str(error)}
    fast = build_fast_reader("auto", DEFAULT_LIMITS)
    times = [seconds for seconds, _ in shown]
    return {
        "indices": [index for _, index in shown],
        "last": times[-1],
        "wrong": wrong_of(
            path, lambda n: read_frames(video, [times[n] + 0.002], fast=fast).images[0]
        ),
    }


def by_pyav(path: Path) -> dict[str, Any]:
    """Decode in one pass; seek and decode up to the time of a frame."""
    import av

    with av.open(str(path)) as container:
        try:
            frames = [
                (f.time, index_of(f.to_ndarray(format="rgb24"))) for f in container.decode(video=0)
            ]
        except av.FFmpegError as error:
            return {"error": str(error)}
    times = [time for time, _ in frames]

    def read(place: int) -> np.ndarray:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            container.seek(int(times[place] / stream.time_base), stream=stream)
            for frame in container.decode(stream):
                if frame.time >= times[place] - 1e-3:
                    return frame.to_ndarray(format="rgb24")
        raise ValueError("no frame")

    known = [time for time in times if time is not None]
    last = max(known) - min(known) if known else None
    return {"indices": [i for _, i in frames], "last": last, "wrong": wrong_of(path, read)}


def by_decord(path: Path) -> dict[str, Any]:
    """Read every frame by its index."""
    import torch  # noqa: F401  before decord
    from decord import VideoReader, logging

    logging.set_level(logging.QUIET)
    reader = VideoReader(str(path), num_threads=1)
    indices = []
    for number in range(len(reader)):
        try:
            indices.append(index_of(reader[number].asnumpy()))
        except Exception:  # of any kind
            indices.append(-1)
    starts = reader.get_frame_timestamp(range(len(reader)))[:, 0]
    read = lambda n: VideoReader(str(path), num_threads=1)[n].asnumpy()  # noqa: E731
    return {
        "indices": indices,
        "last": float(starts[-1] - starts[0]),
        "wrong": wrong_of(path, read),
    }


def by_torchcodec(path: Path) -> dict[str, Any]:
    """Read every frame by its index, with the exact seek mode."""
    try:
        from torchcodec.decoders import VideoDecoder
    except (ImportError, RuntimeError):
        return {"missing": True}
    open_ = lambda: VideoDecoder(str(path), dimension_order="NHWC", num_ffmpeg_threads=1)  # noqa: E731
    decoder = open_()
    frames = [decoder.get_frame_at(n) for n in range(len(decoder))]
    return {
        "indices": [index_of(frame.data.numpy()) for frame in frames],
        "last": frames[-1].pts_seconds - frames[0].pts_seconds,
        "wrong": wrong_of(path, lambda n: open_()[n].numpy()),
    }


def by_ffmpeg(path: Path) -> dict[str, Any]:
    """Decode in one pass with the program."""
    import av

    program = shutil.which("ffmpeg")
    if program is None:
        return {"missing": True}
    with av.open(str(path)) as container:
        width, height = container.streams.video[0].width, container.streams.video[0].height
    command = [program, "-v", "quiet", "-i", str(path), "-vsync", "passthrough"]
    data = subprocess.run(
        [*command, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True, check=False
    ).stdout
    pictures = np.frombuffer(data, np.uint8).reshape(-1, height, width, 3)
    return {"indices": [index_of(picture) for picture in pictures]}


READERS = {
    "vidmoco": by_vidmoco,
    "ffmpeg": by_ffmpeg,
    "decord": by_decord,
    "torchcodec": by_torchcodec,
    "PyAV": by_pyav,
}


if __name__ == "__main__":
    main()
