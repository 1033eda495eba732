import subprocess
import sys

import pytest
import torch
from painted_videos import read_index, write_video

from vidmoco.errors import VideoError
from vidmoco.video.limits import DEFAULT_LIMITS, Limits
from vidmoco.video.pair_worker import PairJob, read_pair, slots_of
from vidmoco.video.probe import probe_video
from vidmoco.video.shared_buffer import SharedBuffer

CANVAS = (32, 48)


@pytest.fixture
def video(tmp_path):
    write_video(tmp_path / "a.mp4", num_frames=30)
    return probe_video(tmp_path / "a.mp4", root=tmp_path)


def test_a_pair_goes_to_its_slot_in_the_order_asked(video):
    buffer = SharedBuffer(3 * 2 * 3 * 32 * 48)
    slots = slots_of(buffer, CANVAS)
    assert slots.shape == (3, 2, 3, 32, 48)
    pts = read_pair(PairJob(1, video, (2.05, 0.5)), slots, DEFAULT_LIMITS)
    assert pts == (2.0, 0.5)
    shown = [read_index(frame.permute(1, 2, 0).numpy()) for frame in slots[1]]
    assert shown == [20, 5]
    assert not slots[0].any()
    assert not slots[2].any()
    assert torch.equal(slots_of(buffer, CANVAS), slots)  # the same memory


def test_without_decord_it_is_not_even_loaded(video):
    code = f"""
import sys
from vidmoco.video.limits import Limits
from vidmoco.video.pair_worker import PairJob, build_pair_worker
from vidmoco.video.probe import probe_video
from vidmoco.video.shared_buffer import SharedBuffer
from pathlib import Path

read = build_pair_worker(SharedBuffer(2 * 3 * 32 * 48), (32, 48), Limits(), False)
path = Path({str(video.path)!r})
print(read(PairJob(0, probe_video(path, root=path.parent), (1.0, 0.5))), "decord" in sys.modules)
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "(1.0, 0.5) False\n"


def test_limits_hold_when_reading_too(video):
    slots = slots_of(SharedBuffer(2 * 3 * 32 * 48), CANVAS)
    with pytest.raises(VideoError, match="more than 1,000 pixels"):
        read_pair(PairJob(0, video, (0.0, 1.0)), slots, Limits(max_pixels=1000))
