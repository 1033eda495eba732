import pytest
import torch

from vidmoco.errors import VideoError
from vidmoco.video.batches import BATCHES_AHEAD, Batches
from vidmoco.video.info import VideoInfo
from vidmoco.video.quarantine import Quarantine
from vidmoco.video.sampling import PairPlan, PairRule
from vidmoco.video.table import Catalog


@pytest.fixture
def catalog():
    return Catalog.from_rows(
        VideoInfo(root="/r", key=f"{n}.mp4", num_bytes=1, mtime_ns=1, width=n + 1, height=2)
        for n in range(10)
    )


def batches_of(catalog, quarantine=None):
    plan = PairPlan(torch.arange(1.0, 11).double().numpy(), rule=PairRule(), seed=0, batch_size=5)
    return Batches(
        catalog,
        plan,
        batch_size=5,
        canvas=(4, 6),
        quarantine=quarantine or Quarantine(),
        pin_memory=False,
    )


def test_a_batch_is_a_copy_in_the_order_of_its_places(catalog):
    batches = batches_of(catalog)
    slots = batches.begin(0)
    for slot in reversed(slots):
        job = batches.job(slot)
        assert job.video == catalog[slot.moment.row]
        assert job.times == slot.moment.times
        batches.pixels[job.slot] = slot.moment.row
        assert not batches.is_ready(0)
        assert batches.finish(slot, (float(slot.number), 0.5))
    assert batches.is_ready(0)
    batch = batches.take(0)
    batches.pixels.zero_()
    rows = [slot.moment.row for slot in slots]
    assert batch.frames.shape == (5, 2, 3, 4, 6)
    assert batch.frames[:, 0, 0, 0, 0].tolist() == rows
    assert batch.source_ids.tolist() == rows
    assert batch.aspect_ratios.tolist() == [(row + 1) / 2 for row in rows]
    assert batch.pts_seconds.tolist() == [[float(n), 0.5] for n in range(5)]
    assert batch.failures == []


def test_batches_under_way_do_not_share_memory(catalog):
    batches = batches_of(catalog)
    numbers = [slot.number for step in range(BATCHES_AHEAD) for slot in batches.begin(step)]
    assert sorted(numbers) == list(range(len(batches.pixels)))


def test_a_failure_goes_over_to_the_stand_in(catalog):
    batches = batches_of(catalog)
    slot = batches.begin(0)[2]
    first = slot.moment.row
    assert batches.fail(slot, "it is damaged", killed=False) == [slot]
    assert slot.moment.row != first
    assert slot.failures == [(first, "it is damaged")]
    for _ in range(8):
        batches.fail(slot, "it is damaged", killed=False)
    with pytest.raises(VideoError, match="None of 10 videos tried for one pair"):
        batches.fail(slot, "it is damaged", killed=False)


def test_a_failure_that_kills_nothing_is_no_quarantine(catalog):
    batches = batches_of(catalog)
    slot = batches.begin(0)[2]
    row = slot.moment.row
    batches.fail(slot, "it is damaged", killed=False)
    later = next(slot for slot in batches.begin(2) + batches.begin(3) if slot.moment.row == row)
    assert batches.job(later).video == catalog[row]


def test_what_was_read_ahead_of_the_fault_is_dropped(catalog):
    """A video that was read for a later batch, before it killed a process for an earlier one."""
    batches = batches_of(catalog)
    first, second = batches.begin(0) + batches.begin(1), batches.begin(2)
    row = second[0].moment.row
    early = next(slot for slot in first if slot.moment.row == row)
    assert batches.finish(second[0], (0.0, 0.0))
    again = batches.fail(early, "it hangs", killed=True)
    assert {id(slot) for slot in again} == {id(early), id(second[0])}
    assert not second[0].done
    assert early.moment.row != row
    assert second[0].moment.row != row


def test_a_result_that_comes_after_the_quarantine_is_not_taken(catalog):
    batches = batches_of(catalog)
    first, second = batches.begin(0) + batches.begin(1), batches.begin(2)
    row = second[0].moment.row
    early = next(slot for slot in first if slot.moment.row == row)
    assert batches.fail(early, "it hangs", killed=True) == [early]  # the other is still being read
    assert not batches.finish(second[0], (0.0, 0.0))
    assert second[0].failures == [(row, "it hangs")]


def test_before_its_place_a_video_in_quarantine_is_read(catalog):
    quarantine = Quarantine()
    batches = batches_of(catalog, quarantine)
    early = batches.begin(0)[0]
    row = early.moment.row
    late = next(slot for slot in batches.begin(2) + batches.begin(3) if slot.moment.row == row)
    batches.fail(late, "it hangs", killed=True)
    assert batches.finish(early, (0.0, 0.0))
    assert early.failures == []
