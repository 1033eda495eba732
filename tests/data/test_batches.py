from itertools import chain

import pytest
import torch

from vidmoco.data.batches import Batches
from vidmoco.data.order import Batching, BatchOrder, Place
from vidmoco.data.quarantine import Quarantine
from vidmoco.data.sampling import PairPlan, PairRule
from vidmoco.data.sources import whole_videos
from vidmoco.errors import VideoError
from vidmoco.video.catalog import Catalog
from vidmoco.video.info import VideoInfo


@pytest.fixture
def catalog():
    return Catalog.from_rows(
        VideoInfo(root="/r", key=f"{n}.mp4", num_bytes=1, mtime_ns=1, width=n + 1, height=2)
        for n in range(10)
    )


def batches_of(catalog, quarantine=None, **cut):
    order = BatchOrder(Batching(num_sources=10, batch_size=5, **cut), seed=0)
    durations = torch.arange(1.0, 11).double().numpy()
    return Batches(
        catalog,
        PairPlan(order, whole_videos(durations), rule=PairRule(), seed=0),
        canvas=(4, 6),
        quarantine=quarantine or Quarantine(),
        pin_memory=False,
    )


def begin(batches, *steps):
    """Return the pairs of some steps, each by itself, in the order of the places."""
    slots = [slot for step in steps for slot in chain(*batches.visits(range(step, step + 1)))]
    return sorted(slots, key=lambda slot: slot.place)


def read(batches, slots, mark=0.0):
    """Read pairs as a worker would: pixels are the row, times ``mark``."""
    job = batches.job(slots)
    for pair in job.pairs:
        batches.pixels[pair.slot] = slots[0].moment.row
    return batches.finish(slots, [(mark, mark)] * len(slots))


def test_a_batch_is_a_copy_in_the_order_of_its_places(catalog):
    batches = batches_of(catalog)
    slots = begin(batches, 0)
    for slot in reversed(slots):
        job = batches.job([slot])
        assert job.video == catalog[slot.moment.row]
        assert [pair.times for pair in job.pairs] == [slot.moment.times]
        batches.pixels[job.pairs[0].slot] = slot.moment.row
        assert not batches.is_ready(0)
        assert batches.finish([slot], [(float(slot.place.position), 0.5)]) == []
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


def test_a_visit_serves_several_batches(catalog):
    batches = batches_of(catalog, pairs_per_visit=3, block_batches=2)
    visits = list(batches.visits(range(6)))
    assert [len(visit) for visit in visits] == [3] * 10
    for visit in visits:
        assert batches.settle(visit) == [visit]
        assert len({slot.moment.times for slot in visit}) == 3
        assert read(batches, visit, mark=1.0) == []
    for step in range(6):
        batch = batches.take(step)
        assert batch.frames[:, 0, 0, 0, 0].tolist() == batch.source_ids.tolist()
        assert len(set(batch.source_ids.tolist())) == 5


def test_a_batch_is_ready_when_all_its_visits_are_read(catalog):
    batches = batches_of(catalog, pairs_per_visit=2, block_batches=2)
    visits = batches.visits(range(4))
    assert not batches.is_ready(0)
    for _ in range(4):
        read(batches, next(visits))
    assert not batches.is_ready(0)  # those that are begun are read, and one is not begun
    read(batches, next(visits))
    assert batches.is_ready(0)
    assert not batches.is_ready(2)


def test_memory_is_for_a_block_and_two_batches_and_is_used_again(catalog):
    batches = batches_of(catalog, pairs_per_visit=2, block_batches=1)
    assert len(batches.pixels) == 4 * 5
    visits = batches.visits(range(100))
    given = []
    for visit in visits:
        if not batches.has_room(visit):
            break
        given += [pair.slot for pair in batches.job(visit).pairs]
        batches.finish(visit, [(0.0, 0.0)] * len(visit))
    assert sorted(given) == list(range(20))
    assert not batches.has_room(visit)
    batches.take(0)
    assert batches.has_room(visit)
    again = {pair.slot for pair in batches.job(visit).pairs}
    assert again <= set(given)


def test_what_is_read_again_keeps_its_memory(catalog):
    batches = batches_of(catalog)
    (slot, *_) = begin(batches, 0)
    first = batches.job([slot]).pairs[0].slot
    batches.fail([slot], "it is damaged", killed=False)
    assert batches.job([slot]).pairs[0].slot == first


def test_a_failure_goes_over_to_the_stand_in(catalog):
    batches = batches_of(catalog)
    slot = begin(batches, 0)[2]
    first = slot.moment.row
    assert batches.fail([slot], "it is damaged", killed=False) == [slot]
    assert slot.moment.row != first
    assert slot.failures == [(first, "it is damaged")]
    for _ in range(8):
        batches.fail([slot], "it is damaged", killed=False)
    with pytest.raises(VideoError, match="None of the 10 videos tried for one pair"):
        batches.fail([slot], "it is damaged", killed=False)


def test_a_pair_of_a_visit_may_fail_alone(catalog):
    batches = batches_of(catalog, pairs_per_visit=3, block_batches=2)
    visit = next(batches.visits(range(6)))
    row = visit[0].moment.row
    batches.job(visit)
    assert batches.finish(visit, [(0.0, 1.0), "it is damaged", (2.0, 3.0)]) == [visit[1]]
    assert [slot.done for slot in visit] == [True, False, True]
    assert visit[1].failures == [(row, "it is damaged")]
    assert visit[1].moment.row != row


def test_a_failure_that_kills_nothing_is_no_quarantine(catalog):
    batches = batches_of(catalog)
    slot = begin(batches, 0)[2]
    row = slot.moment.row
    batches.fail([slot], "it is damaged", killed=False)
    later = next(slot for slot in begin(batches, 2, 3) if slot.moment.row == row)
    assert batches.settle([later]) == [[later]]
    assert batches.job([later]).video == catalog[row]


def test_what_was_read_ahead_of_the_fault_is_dropped(catalog):
    """A video that was read for a later batch, before it killed a process for an earlier one."""
    batches = batches_of(catalog)
    first, second = begin(batches, 0, 1), begin(batches, 2)
    row = second[0].moment.row
    early = next(slot for slot in first if slot.moment.row == row)
    assert read(batches, [second[0]]) == []
    again = batches.fail([early], "it hangs", killed=True)
    assert {id(slot) for slot in again} == {id(early), id(second[0])}
    assert not second[0].done
    assert early.moment.row != row
    assert second[0].moment.row != row


def test_a_visit_that_kills_is_dropped_from_its_first_place_on(catalog):
    quarantine = Quarantine()
    batches = batches_of(catalog, quarantine, pairs_per_visit=3, block_batches=2)
    visit = list(batches.visits(range(6)))[7]
    row, places = visit[0].moment.row, [slot.place for slot in visit]
    batches.job(visit)
    assert batches.fail(visit, "it hangs", killed=True) == visit
    assert [quarantine.reason(row, place) for place in places] == ["it hangs"] * 3
    assert quarantine.reason(row, Place(places[0].step, places[0].position - 1)) == ""
    settled = batches.settle(visit)
    assert sorted(slot.place for part in settled for slot in part) == places
    for part in settled:  # their stand-ins may be of different videos
        assert {slot.moment.row for slot in part} == {part[0].moment.row} != {row}


def test_a_result_that_comes_after_the_quarantine_is_not_taken(catalog):
    batches = batches_of(catalog)
    first, second = begin(batches, 0, 1), begin(batches, 2)
    row = second[0].moment.row
    early = next(slot for slot in first if slot.moment.row == row)
    assert batches.fail([early], "it hangs", killed=True) == [early]  # the other is being read
    assert read(batches, [second[0]]) == [second[0]]
    assert second[0].failures == [(row, "it hangs")]


def test_before_its_place_a_video_in_quarantine_is_read(catalog):
    quarantine = Quarantine()
    batches = batches_of(catalog, quarantine)
    early = begin(batches, 0)[0]
    row = early.moment.row
    late = next(slot for slot in begin(batches, 2, 3) if slot.moment.row == row)
    batches.fail([late], "it hangs", killed=True)
    assert batches.finish([early], [(0.0, 0.0)]) == []
    assert early.failures == []
