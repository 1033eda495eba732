import os

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from painted_videos import read_index, write_audio
from wide_videos import damaged, info_of

from vidmoco.errors import VideoError
from vidmoco.video.probe import probe_video
from vidmoco.video.sequential_reader import iter_frames, take_at_rate, take_every


def test_all_frames_in_order(tmp_path):
    video = info_of(tmp_path / "a.mp4")
    damage = []
    frames = list(iter_frames(video, damage=damage))
    assert not damage
    assert [read_index(picture) for _, picture in frames] == list(range(40))
    assert [seconds for seconds, _ in frames] == pytest.approx(np.arange(40) / 10)


def test_some_frames(tmp_path):
    video = info_of(tmp_path / "a.mp4")
    assert [read_index(picture) for _, picture in iter_frames(video, every=15)] == [0, 15, 30]
    assert [read_index(picture) for _, picture in iter_frames(video, fps=1)] == [0, 10, 20, 30]


def test_good_frames_of_a_damaged_video_are_kept(tmp_path):
    video = damaged(tmp_path / "a.mp4", share=0.5)
    messages = []
    frames = list(iter_frames(video, damage=messages))
    times = [seconds for seconds, _ in frames]
    assert [read_index(picture) for _, picture in frames] == [round(10 * time) for time in times]
    assert 5 < len(times) < 40
    assert messages[0].startswith(
        f"{video.path}: damaged frames left out: {40 - len(times)}, the first at "
    )


def test_what_is_no_video(tmp_path):
    write_audio(tmp_path / "a.mp4")
    refused = probe_video(tmp_path / "a.mp4", root=tmp_path)
    with pytest.raises(VideoError, match=r"a\.mp4: it holds no video, only sound\."):
        next(iter_frames(refused))
    video = info_of(tmp_path / "gone.mp4")
    video.path.unlink()
    with pytest.raises(VideoError, match=r"gone\.mp4: No such file or directory\. Give the "):
        next(iter_frames(video))


def test_a_video_without_one_good_frame(tmp_path):
    video = info_of(tmp_path / "a.mp4", gop=100)
    data = bytearray(video.path.read_bytes())
    with av.open(str(video.path)) as opened:
        packet = next(opened.demux(video=0))
        where = slice(packet.pos + 4, packet.pos + packet.size)
    data[where] = bytes(where.stop - where.start)
    video.path.write_bytes(data)
    os.utime(video.path, ns=(video.mtime_ns, video.mtime_ns))  # as if nothing had happened
    with pytest.raises(VideoError, match="no frame of it can be decoded: "):
        list(iter_frames(video))


def test_leaving_early(tmp_path):
    video = info_of(tmp_path / "a.mp4")
    frames = iter_frames(video)
    next(frames)
    frames.close()
    assert [read_index(picture) for _, picture in iter_frames(video)] == list(range(40))


def test_a_file_that_has_changed_is_not_read(tmp_path):
    video = info_of(tmp_path / "a.mp4")
    info_of(tmp_path / "a.mp4", num_frames=5)
    with pytest.raises(VideoError, match="has changed since it was scanned"):
        list(iter_frames(video))


@given(
    st.lists(st.floats(0.001, 3), min_size=1, max_size=30),
    st.floats(0.05, 50),
)
def test_fps_takes_the_frames_shown_at_the_ticks(steps, fps):
    """Against the obvious way: for each tick the last frame at or before it, each frame once."""
    times = np.concatenate([[0.0], np.cumsum(steps)])
    taken = [pts for pts, _ in take_at_rate(((t, np.empty(0)) for t in times.tolist()), fps)]
    end = times[-1] + steps[-1]
    ticks = np.arange(0, int(end * fps) + 2) / fps
    near = np.abs(ticks[:, None] - np.append(times, end)[None]).min(axis=1) < 1e-5
    clear = ticks[(ticks < end) & ~near]  # a tick on a frame's edge may fall to either side
    expected = {float(times[np.searchsorted(times, tick, side="right") - 1]) for tick in clear}
    assert expected <= set(taken)
    allowed = (
        expected
        | {float(t) for t in times if np.abs(ticks - t).min() < 1e-5}
        | {
            float(times[i])
            for i in range(len(times) - 1)
            if np.abs(ticks - times[i + 1]).min() < 1e-5
        }
        | {float(times[-1])}
    )
    assert set(taken) <= allowed
    assert taken == sorted(set(taken))


def test_every_counts_frames():
    frames = [(float(i), np.empty(0)) for i in range(10)]
    assert [pts for pts, _ in take_every(frames, 4)] == [0, 4, 8]
