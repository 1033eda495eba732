"""A small folder of prepared frames, written by hand: a shard a video."""

import numpy as np
from painted_videos import read_index, write_video

from vidmoco.config.limits import DEFAULT_LIMITS
from vidmoco.frames.index import FrameIndex, VideoRow, frame_table, shard_name, write_index
from vidmoco.frames.selection import Selection
from vidmoco.frames.writer import FrameSettings, PrepareJob, write_frames
from vidmoco.video.probe import probe_video

NUM_VIDEOS = 7
SETTINGS = FrameSettings(fps=None, short_side=64, quality=90, selection=Selection())


def write_prepared(folder):
    """Frame i of video v spells 100 v + i; 10 fps; the last video has no frames."""
    (folder / "shards").mkdir()
    rows, columns = [], []
    for number in range(NUM_VIDEOS + 1):
        path = folder / f"{number}.mp4"
        write_video(path, num_frames=20, size=(96, 64), first_index=100 * number)
        info = probe_video(path, root=folder)
        made = write_frames(
            PrepareJob(info, path.name, folder / shard_name(number)), SETTINGS, DEFAULT_LIMITS
        )
        path.unlink()
        count = 0 if number == NUM_VIDEOS else 20
        rows.append(
            VideoRow(
                name=path.name,
                num_bytes=1,
                mtime_ns=1,
                duration_seconds=2.0,
                aspect_ratio=1.5,
                num_frames=count,
                shard=number,
                start=0,
                end=made.num_bytes if count else 0,
            )
        )
        columns.append(
            {
                "pts_seconds": np.array(made.pts_seconds[:count]),
                "shard": np.full(count, number),
                "offset": np.array(made.offsets[:count]),
                "length": np.array(made.lengths[:count]),
                "crc32": np.array(made.checksums[:count]),
            }
        )
    table = frame_table([row.name for row in rows], columns, {})
    write_index(folder, FrameIndex({"fps": None}, rows, table))
    return folder


def flip(path, position):
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def spelled(picture):
    return read_index(picture.permute(1, 2, 0).numpy())
