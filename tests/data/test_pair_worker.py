import subprocess
import sys

import pytest
import torch
from painted_videos import read_index, write_video
from wide_videos import damaged, info_of

from vidmoco.config.limits import DEFAULT_LIMITS, Limits
from vidmoco.data import pair_worker
from vidmoco.data.pair_worker import PairSlot, VisitJob, read_visit, slots_of
from vidmoco.video.probe import probe_video
from vidmoco.workers.shared_buffer import SharedBuffer

CANVAS = (32, 48)


@pytest.fixture
def slots():
    return slots_of(SharedBuffer(4 * 2 * 3 * 32 * 48), 2, CANVAS)


def job_of(video, *pairs):
    return VisitJob(0, video, tuple(PairSlot(slot, times) for slot, times in pairs))


def shown(slots, number):
    return [read_index(frame.permute(1, 2, 0).numpy()) for frame in slots[number]]


def test_a_pair_goes_to_its_slot_in_the_order_asked(tmp_path):
    video = info_of(tmp_path / "a.mp4")
    buffer = SharedBuffer(3 * 2 * 3 * 32 * 48)
    slots = slots_of(buffer, 2, CANVAS)
    assert slots.shape == (3, 2, 3, 32, 48)
    assert read_visit(job_of(video, (1, (2.05, 0.5))), slots, DEFAULT_LIMITS) == [(2.0, 0.5)]
    assert shown(slots, 1) == [20, 5]
    assert not slots[0].any()
    assert not slots[2].any()
    assert torch.equal(slots_of(buffer, 2, CANVAS), slots)  # the same memory


@pytest.mark.parametrize("at_once", [2**27, 1])
def test_all_pairs_of_a_visit(tmp_path, slots, monkeypatch, at_once):
    """However few frames are held at their full size at once."""
    monkeypatch.setattr(pair_worker, "_BYTES_AT_ONCE", at_once)
    video = info_of(tmp_path / "a.mp4")
    job = job_of(video, (3, (3.0, 1.0)), (0, (0.25, 3.04)), (1, (1.0, 1.0)))
    results = read_visit(job, slots, DEFAULT_LIMITS)
    assert results == [(3.0, 1.0), (0.2, 3.0), (1.0, 1.0)]
    assert [shown(slots, number) for number in (3, 0, 1)] == [[30, 10], [2, 30], [10, 10]]


def test_what_cannot_be_read_does_not_take_the_rest_with_it(tmp_path, slots):
    video = damaged(tmp_path / "a.mp4", share=0.5)
    job = job_of(video, (0, (0.1, 0.3)), (1, (0.2, 3.9)), (2, (0.4, 0.5)))
    first, second, third = read_visit(job, slots, DEFAULT_LIMITS)
    assert (first, third) == ((0.1, 0.3), (0.4, 0.5))
    assert "a.mp4: it is damaged at 3.900 s" in second
    assert [shown(slots, number) for number in (0, 2)] == [[1, 3], [4, 5]]


def test_without_decord_it_is_not_even_loaded(tmp_path):
    write_video(tmp_path / "a.mp4", num_frames=30)
    code = f"""
import sys
from vidmoco.config.limits import Limits
from vidmoco.data.pair_worker import PairSlot, VisitJob, build_pair_worker
from vidmoco.video.probe import probe_video
from vidmoco.workers.shared_buffer import SharedBuffer
from pathlib import Path

read = build_pair_worker(SharedBuffer(2 * 3 * 32 * 48), 2, (32, 48), Limits(), "pyav")
path = Path({str(tmp_path / "a.mp4")!r})
job = VisitJob(0, probe_video(path, root=path.parent), (PairSlot(0, (1.0, 0.5)),))
print(read(job), "decord" in sys.modules)
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "[(1.0, 0.5)] False\n"


def test_limits_hold_when_reading_too(tmp_path, slots):
    write_video(tmp_path / "a.mp4", num_frames=30)
    video = probe_video(tmp_path / "a.mp4", root=tmp_path)
    (result,) = read_visit(job_of(video, (0, (0.0, 1.0))), slots, Limits(max_pixels=1000))
    assert "more than 1,000 pixels" in result
