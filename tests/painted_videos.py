"""Videos that the tests encode themselves; every picture spells its own index.

The picture is a grid of 4 x 4 blocks, black or white:

    W B B B      an upright marker: a turned or mirrored picture is not read as another index
    b b b b
    b b b b      12 bits of the index, most significant first
    b b b b

The blocks survive lossy encoding and resizing down to about 16 pixels a side.
"""

import itertools
import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 else greets on stderr

GRID = 4
MARKER = [1, 0, 0, 0]
MAX_INDEX = 2 ** (GRID * GRID - len(MARKER)) - 1

# Encoder options by name of the encoder: fast, one thread (the same file every time), no surprises.
_OPTIONS = {
    # mbtree: of pictures so small, x264 reads beyond the end, and each file came out different.
    "libx264": {"preset": "veryfast", "crf": "20", "threads": "1", "mbtree": "0"},
    "libx265": {"preset": "ultrafast", "crf": "20", "x265-params": "log-level=none:pools=none"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "b": "1M", "threads": "1"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "b": "1M", "threads": "1"},
    "libsvtav1": {"preset": "8", "crf": "5"},
    "mpeg4": {"qscale": "3", "flags": "+qscale", "global_quality": "354", "threads": "1"},
    "mjpeg": {"flags": "+qscale", "global_quality": "354", "threads": "1"},
}


def paint(
    index: int,
    *,
    size: tuple[int, int] = (96, 64),
    white: tuple[int, int, int] = (255, 255, 255),
) -> np.ndarray:
    """Return the uint8 picture (height, width, 3) of ``index``; ``size`` is (width, height)."""
    if not 0 <= index <= MAX_INDEX:
        raise ValueError(f"{index = } is not in 0..{MAX_INDEX}")
    bits = MARKER + [index >> shift & 1 for shift in range(GRID * (GRID - 1) - 1, -1, -1)]
    blocks = np.array(bits, dtype=np.uint8).reshape(GRID, GRID)
    width, height = size
    rows = np.arange(height) * GRID // height
    columns = np.arange(width) * GRID // width
    return blocks[rows][:, columns][..., None] * np.array(white, dtype=np.uint8)


def read_index(frame: np.ndarray) -> int:
    """Return the index that an upright RGB picture (height, width, 3) spells.

    Raises:
        ValueError: a block is neither dark nor bright, or the picture is turned or mirrored.
    """
    frame = np.asarray(frame)
    if frame.ndim != 3 or frame.shape[2] != 3:
        raise ValueError(f"{frame.shape = }, expected (height, width, 3)")
    bits = []
    for row, column in itertools.product(range(GRID), range(GRID)):
        # The middle of a block: its borders blur when encoded or resized.
        top, bottom = _middle(row, frame.shape[0])
        left, right = _middle(column, frame.shape[1])
        # max: a tinted white is still bright
        level = float(frame[top:bottom, left:right].max(axis=2).mean(dtype=np.float64))
        if 90 < level < 165:
            raise ValueError(f"block ({row}, {column}) is grey ({level:.0f}): unreadable picture")
        bits.append(int(level > 127))
    if bits[:GRID] != MARKER:
        raise ValueError(f"the top row is {bits[:GRID]}, expected {MARKER}: turned or mirrored?")
    return int("".join(map(str, bits[GRID:])), base=2)


def write_videos(folder: Path, number: int) -> None:
    """Write so many videos of 12 frames, ``00.mp4`` that spells 0 …, ``01.mp4`` 100 … and so on."""
    for n in range(number):
        write_video(folder / f"{n:02d}.mp4", num_frames=12, first_index=100 * n)


def write_video(
    path: Path,
    *,
    num_frames: int = 30,
    fps: float = 10,
    size: tuple[int, int] = (96, 64),
    codec: str = "libx264",
    gop: int = 12,
    b_frames: int = 2,
    open_gop: bool = False,
    pixel_format: str = "yuv420p",
    rotation: int = 0,
    sample_aspect_ratio: Fraction | None = None,
    times: Sequence[float] | None = None,
    start_seconds: float = 0.0,
    hidden_frames: int = 0,
    first_index: int = 0,
    white: tuple[int, int, int] = (255, 255, 255),
    container: str | None = None,
    container_options: dict[str, str] | None = None,
    codec_options: dict[str, str] | None = None,
    with_audio: bool = False,
    grain: int = 0,
) -> list[float]:
    """Encode frames that spell ``first_index``, ``first_index + 1``, ... and return their times.

    Args:
        path: the file; its suffix chooses the container unless ``container`` names one.
        num_frames: frames that are encoded.
        fps: frames a second, when ``times`` is not given.
        size: (width, height) of the encoded picture, before ``rotation``.
        codec: name of an FFmpeg encoder; several others than those of ``_OPTIONS`` work too.
        gop: distance of key frames.
        b_frames: greatest number of consecutive B-frames (libx264, libx265, mpeg4).
        open_gop: key frames that are not IDR, with leading pictures (libx264, libx265).
        pixel_format: pixel format of the encoder.
        rotation: degrees (0, 90, 180, 270) that a player turns the picture counter-clockwise; it is
            painted turned the other way, so that the displayed one is upright.
        sample_aspect_ratio: width to height of a pixel.
        times: the time of each frame in seconds, growing; a variable frame rate.
        start_seconds: raw time of the first frame.
        hidden_frames: so many frames at the start get negative times, which an MP4 hides behind an
            edit list (as a phone's trim does). The shown frames start at ``hidden_frames``.
        first_index: what the first frame spells.
        white: the colour of bright blocks.
        container: FFmpeg's name of the container format.
        container_options: options of the container format.
        codec_options: options of the encoder, over those of ``_OPTIONS``.
        with_audio: add a silent audio track.
        grain: add noise of up to so many levels, for pictures of many bytes (which can be damaged).

    Returns:
        The displayed time of each encoded frame in seconds, the first shown one at zero (hidden
        frames: negative). Exact up to the container's time base.
    """
    if times is None:
        rate = Fraction(fps).limit_denominator(1001)
        ticks, tick_rate = list(range(num_frames)), rate
    else:
        rate, tick_rate = Fraction(fps).limit_denominator(1001), Fraction(1000)
        ticks = [round(time * 1000) for time in times]
    shift = -ticks[hidden_frames] + round(start_seconds * tick_rate)
    if hidden_frames and container_options is None:
        container_options = {"avoid_negative_ts": "disabled", "use_editlist": "1"}

    path.parent.mkdir(parents=True, exist_ok=True)
    # file: keeps a name such as "a:b.mp4" from being taken for a protocol.
    with av.open(f"file:{path}", "w", format=container, options=container_options or {}) as output:
        stream = output.add_stream(
            codec,
            rate=rate,
            options=_encoder_options(
                codec, b_frames=b_frames, open_gop=open_gop, gop=gop, extra=codec_options or {}
            ),
        )
        stream.width, stream.height = size
        stream.pix_fmt = pixel_format
        stream.codec_context.gop_size = gop
        stream.codec_context.time_base = 1 / tick_rate
        if sample_aspect_ratio is not None:
            stream.codec_context.sample_aspect_ratio = sample_aspect_ratio
        if rotation:
            stream.set_display_rotation(rotation)
        audio = output.add_stream("aac", rate=16000, layout="mono") if with_audio else None

        turns = rotation // 90
        shown_size = size if turns % 2 == 0 else (size[1], size[0])
        for position, tick in enumerate(ticks):
            picture = paint(first_index + position, size=shown_size, white=white)
            if grain:
                noise = np.random.default_rng(position).integers(0, grain, picture.shape, np.uint8)
                picture = np.where(picture > 127, picture - noise, picture + noise)
            frame = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(np.rot90(picture, -turns)), format="rgb24"
            )
            frame.pts, frame.time_base = tick + shift, 1 / tick_rate
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if audio is not None:
            for packet in _silence(audio, seconds=float((ticks[-1] + 1) / tick_rate)):
                output.mux(packet)
    zero = ticks[hidden_frames]
    return [float((tick - zero) / tick_rate) for tick in ticks]


def write_audio(path: Path, *, seconds: float = 1.0, codec: str = "aac") -> None:
    """Encode a file of silence that holds no video."""
    with av.open(f"file:{path}", "w") as output:
        stream = output.add_stream(codec, rate=16000, layout="mono")
        for packet in _silence(stream, seconds=seconds):
            output.mux(packet)


def _middle(block: int, length: int) -> tuple[int, int]:
    low, high = (block + 0.3) * length / GRID, (block + 0.7) * length / GRID
    return int(low), max(int(low) + 1, int(high))


def _encoder_options(
    codec: str, *, b_frames: int, open_gop: bool, gop: int, extra: dict[str, str]
) -> dict[str, str]:
    options = dict(_OPTIONS.get(codec, {}))
    if codec == "libx264":
        options |= {"bf": str(b_frames), "sc_threshold": "0", "keyint_min": str(gop)}
        options["b_strategy"] = "0"  # all of the B-frames that are asked for
        if open_gop:
            options["x264-params"] = "open-gop=1"
    elif codec == "libx265":
        options["x265-params"] += (
            f":bframes={b_frames}:keyint={gop}:min-keyint={gop}:scenecut=0:b-adapt=0"
            f":open-gop={int(open_gop)}"
        )
    elif codec == "mpeg4":
        options["bf"] = str(b_frames)
    return options | extra


def _silence(stream: av.AudioStream, *, seconds: float) -> list[av.Packet]:
    packets = []
    for start in range(0, int(seconds * 16000), 1024):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate, frame.pts = 16000, start
        packets += stream.encode(frame)
    return packets + stream.encode(None)
