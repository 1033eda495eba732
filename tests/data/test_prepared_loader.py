import shutil
import threading

import numpy as np
import pytest
import torch
from prepared_folders import NUM_VIDEOS, flip, spelled, write_prepared

from vidmoco.data.order import Batching, BatchOrder, Place
from vidmoco.data.prepared_loader import MOST_AT_ONCE, _read_pairs, load_prepared
from vidmoco.data.sampling import PairPlan, PairRule
from vidmoco.data.sources import whole_videos
from vidmoco.errors import VideoError
from vidmoco.frames.index import shard_name
from vidmoco.frames.prepared import open_prepared


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    return write_prepared(tmp_path_factory.mktemp("frames"))


@pytest.fixture
def folder(originals, tmp_path):
    shutil.copytree(originals, tmp_path / "frames")
    return tmp_path / "frames"


def load(frames, *, steps=range(6), rule=PairRule(), workers=2, seed=0, **more):  # noqa: B008
    batching = Batching(num_sources=len(frames.videos), batch_size=3)
    return list(
        load_prepared(
            frames,
            batching,
            rule=rule,
            seed=seed,
            canvas=(64, 96),
            steps=steps,
            workers=workers,
            **more,
        )
    )


def same(a, b):
    return all(
        torch.equal(x.frames, y.frames) and torch.equal(x.pts_seconds, y.pts_seconds)
        for x, y in zip(a, b, strict=True)
    )


def test_batches_are_those_of_the_plan(originals):
    frames = open_prepared(originals)
    batching = Batching(num_sources=NUM_VIDEOS, batch_size=3)
    plan = PairPlan(
        BatchOrder(batching, seed=0), whole_videos(frames.durations), rule=PairRule(), seed=0
    )
    for step, batch in enumerate(load(frames)):
        assert batch.frames.shape == (3, 2, 3, 64, 96)
        assert batch.aspect_ratios.tolist() == [1.5] * 3
        assert batch.failures == []
        for position, row in enumerate(batch.source_ids.tolist()):
            moment = next(plan.moments(Place(step, position)))
            assert moment.row == row
            for view in range(2):
                index = int(moment.times[view] * 10 + 1e-9)
                assert spelled(batch.frames[position, view]) == 100 * row + index
                assert batch.pts_seconds[position, view] == pytest.approx(index / 10)


def test_more_frames_of_a_video(originals):
    rule = PairRule(frames=4, max_gap=1.0)
    for batch in load(open_prepared(originals), rule=rule):
        assert batch.frames.shape == (3, 4, 3, 64, 96)
        assert (np.ptp(batch.pts_seconds.numpy(), axis=1) <= 1.1).all()
        for frames, row, times in zip(
            batch.frames, batch.source_ids.tolist(), batch.pts_seconds.tolist(), strict=True
        ):
            expected = [100 * row + round(seconds * 10) for seconds in times]
            assert [spelled(frame) for frame in frames] == expected


def test_the_same_for_any_number_of_threads_and_after_a_resume(originals):
    frames = open_prepared(originals)
    whole = load(frames, workers=1)
    assert same(whole, load(frames, workers=5))
    assert same(whole, load(frames, workers=0))
    assert same(whole[4:], load(frames, steps=range(4, 6)))
    assert not same(whole, load(frames, seed=1))


def test_a_batch_of_several_parts(originals):
    frames = open_prepared(originals)
    batching = Batching(num_sources=NUM_VIDEOS, batch_size=2 * MOST_AT_ONCE + 3)
    options = {"rule": PairRule(), "seed": 0, "canvas": (64, 96), "steps": range(2)}
    one, two, many = (
        list(load_prepared(frames, batching, workers=workers, **options)) for workers in (1, 2, 50)
    )
    assert same(one, two) and same(one, many)
    assert all(len(batch.frames) == batching.batch_size for batch in one)


def test_what_nobody_waits_for_is_not_read(originals):
    frames = open_prepared(originals)
    batching = Batching(num_sources=NUM_VIDEOS, batch_size=3)
    sources = whole_videos(frames.durations)
    plan = PairPlan(BatchOrder(batching, seed=0), sources, rule=PairRule(), seed=0)
    over, reading = threading.Event(), frames.store.read

    def leave(*args):
        over.set()
        return reading(*args)

    frames.store.read = leave
    pixels = torch.empty(3, 2, 3, 64, 96, dtype=torch.uint8)
    assert len(_read_pairs(frames, plan, pixels, 0, over, range(3))) == 1


def test_single_frames(originals):
    for batch in load(open_prepared(originals), rule=PairRule(single_frame=True)):
        assert torch.equal(batch.frames[:, 0], batch.frames[:, 1])


def test_other_sizes_are_resized(originals):
    frames = open_prepared(originals)
    batching = Batching(num_sources=NUM_VIDEOS, batch_size=3)
    (batch,) = load_prepared(
        frames, batching, rule=PairRule(), seed=0, canvas=(48, 56), steps=range(1), workers=1
    )
    assert batch.frames.shape == (3, 2, 3, 48, 56)
    assert spelled(batch.frames[0, 0]) // 100 == batch.source_ids[0]


def test_leaving_and_being_stopped(originals):
    frames = open_prepared(originals)
    batching = Batching(num_sources=NUM_VIDEOS, batch_size=3)
    options = {"rule": PairRule(), "seed": 0, "canvas": (64, 96), "workers": 2}
    batches = load_prepared(frames, batching, steps=range(10**6), **options)
    next(batches)
    batches.close()
    hanging = frames.store.read

    def hang(*args):
        while not stop:
            pass
        return hanging(*args)

    stop = []
    frames.store.read = hang

    def stopped():
        stop.append(True)
        return True

    assert not list(load_prepared(frames, batching, steps=range(9), stopped=stopped, **options))


def test_a_damaged_frame_is_replaced_and_told(folder):
    frames = open_prepared(folder)
    whole = load(frames)
    for i in range(20):
        frame = frames.firsts[2] + i
        flip(folder / shard_name(2), int(frames.columns["offset"][frame]) + 100)
    after = load(open_prepared(folder))
    failures = [failure for batch in after for failure in batch.failures]
    assert {row for row, _ in failures} == {2}
    assert "shards/000002.tar is damaged at byte " in failures[0][1]
    for old, new in zip(whole, after, strict=True):
        kept = old.source_ids != 2
        assert torch.equal(old.frames[kept], new.frames[kept])
        assert 2 not in new.source_ids.tolist()
        assert len(set(new.source_ids.tolist())) == 3


def test_when_nothing_can_be_read(folder):
    frames = open_prepared(folder)
    for number in range(NUM_VIDEOS):
        path = folder / shard_name(number)
        path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(VideoError, match="None of the 7 videos tried for one pair"):
        load(frames)


def test_a_shard_that_is_gone_later(folder):
    frames = open_prepared(folder)
    for number in range(NUM_VIDEOS):
        (folder / shard_name(number)).unlink()
    with pytest.raises(VideoError, match=r"000\d+\.tar.*No such file"):
        load(frames)
