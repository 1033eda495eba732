import ctypes
import dataclasses
import json
import multiprocessing
import os
import shutil
import threading
from collections import Counter

import numpy as np
import pytest
import torch
from painted_videos import read_index, write_video

from vidmoco.config.limits import Limits
from vidmoco.data import loader
from vidmoco.data.loader import canvas_size, cut_batches, load_pairs
from vidmoco.data.order import Batching
from vidmoco.data.pair_worker import build_pair_worker
from vidmoco.data.quarantine import Quarantine
from vidmoco.data.sampling import PairRule
from vidmoco.errors import ConfigError, VideoError, VidmocoError
from vidmoco.video.catalog import Catalog
from vidmoco.video.scan import scan_videos

NUM_VIDEOS, NUM_FRAMES = 10, 20  # frame i of video v spells 100 v + i; 10 fps


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("loader")
    for video in range(NUM_VIDEOS):
        suffix = "mp4" if video % 3 else "ts"
        write_video(
            folder / f"v{video}.{suffix}", num_frames=NUM_FRAMES, fps=10, first_index=100 * video
        )
    return folder


@pytest.fixture(scope="module")
def catalog(folder):
    return scan_videos([folder], workers=1, progress=False).readable()


def load(catalog, *, start=0, stop=5, workers=0, seed=0, batch_size=4, visit=1, block=1, **more):
    batching = Batching(
        num_sources=len(catalog), batch_size=batch_size, pairs_per_visit=visit, block_batches=block
    )
    return list(
        load_pairs(
            catalog,
            batching,
            seed=seed,
            canvas=(64, 96),
            steps=range(start, stop),
            workers=workers,
            **({"rule": PairRule()} | more),
        )
    )


def same(a, b):
    return all(
        torch.equal(x.frames, y.frames)
        and torch.equal(x.source_ids, y.source_ids)
        and torch.equal(x.pts_seconds, y.pts_seconds)
        for x, y in zip(a, b, strict=True)
    )


def test_a_pair_is_the_two_frames_shown_at_its_times(catalog):
    for batch in load(catalog):
        assert batch.frames.shape == (4, 2, 3, 64, 96)
        assert batch.frames.dtype == torch.uint8
        assert len(set(batch.source_ids.tolist())) == 4
        for frames, row, times in zip(
            batch.frames, batch.source_ids, batch.pts_seconds, strict=True
        ):
            video = int(catalog[int(row)].key[1])
            for frame, pts in zip(frames, times, strict=True):
                index = read_index(frame.permute(1, 2, 0).numpy())
                assert index == 100 * video + round(float(pts) * 10)


@pytest.mark.parametrize("workers", [0, 1])
def test_more_frames_of_a_video(catalog, workers):
    rule = PairRule(frames=5)
    for batch in load(catalog, rule=rule, workers=workers, stop=2):
        assert batch.frames.shape == (4, 5, 3, 64, 96)
        for frames, row, times in zip(
            batch.frames, batch.source_ids, batch.pts_seconds.tolist(), strict=True
        ):
            first = 100 * int(catalog[int(row)].key[1])
            assert [read_index(f.permute(1, 2, 0).numpy()) for f in frames] == [
                first + round(seconds * 10) for seconds in times
            ]
            assert len(set(times)) > 1


def test_an_epoch_takes_every_video_once(catalog):
    batches = load(catalog, stop=10, batch_size=5)
    for epoch in range(5):
        rows = torch.cat([batch.source_ids for batch in batches[2 * epoch : 2 * epoch + 2]])
        assert sorted(rows.tolist()) == list(range(NUM_VIDEOS))


@pytest.mark.parametrize("workers", [1, 4])
def test_the_same_batches_for_any_number_of_workers(catalog, workers):
    assert same(load(catalog), load(catalog, workers=workers))


VISITS = {"visit": 3, "block": 2, "stop": 14}  # blocks of 6 steps; 10 videos, 4 a batch


@pytest.mark.parametrize("workers", [1, 3])
def test_visits_give_the_same_for_any_number_of_workers(catalog, workers):
    assert same(load(catalog, **VISITS), load(catalog, workers=workers, **VISITS))


@pytest.mark.parametrize("start", [1, 4, 6, 9])
def test_starting_in_the_middle_of_a_block(catalog, start):
    whole = load(catalog, **VISITS)
    assert same(whole[start:], load(catalog, start=start, workers=1, **VISITS))


def test_visits_take_several_pairs_of_a_video_in_batches_without_a_second(catalog):
    batches = load(catalog, **VISITS)
    for batch in batches:
        assert len(set(batch.source_ids.tolist())) == 4
    pairs = [
        (row, *times)
        for batch in batches[:6]
        for row, times in zip(batch.source_ids.tolist(), batch.pts_seconds.tolist(), strict=True)
    ]
    assert sorted(Counter(row for row, *_ in pairs).values()) == [3] * 8
    assert len(set(pairs)) > 20  # three pairs of a video, not one three times


def test_starting_in_the_middle_gives_the_rest(catalog):
    assert same(load(catalog)[3:], load(catalog, start=3))
    assert not same(load(catalog), load(catalog, seed=1))


def test_single_frame_pairs(catalog):
    for batch in load(catalog, rule=PairRule(single_frame=True)):
        assert torch.equal(batch.frames[:, 0], batch.frames[:, 1])
        assert torch.equal(batch.pts_seconds[:, 0], batch.pts_seconds[:, 1])


def test_gaps_are_as_asked_up_to_one_frame(catalog):
    for batch in load(catalog, rule=PairRule(min_gap=0.5, max_gap=1.0), stop=10):
        gaps = np.ptp(batch.pts_seconds.numpy(), axis=1)
        assert (gaps >= 0.5 - 0.1001).all()
        assert (gaps <= 1.0 + 0.1001).all()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_video_that_fails_is_replaced_and_counted_and_nothing_else_changes(
    folder, tmp_path, workers
):
    copy = tmp_path / "videos"
    shutil.copytree(folder, copy)
    catalog = scan_videos([copy], workers=1, progress=False).readable()
    before = load(catalog, stop=10, batch_size=5)
    bad = next(row for row in range(len(catalog)) if catalog[row].key == "v4.mp4")
    (copy / "v4.mp4").unlink()
    after = load(catalog, stop=10, batch_size=5, workers=workers)
    assert same(after, load(catalog, stop=10, batch_size=5))
    num_failures = 0
    for old, new in zip(before, after, strict=True):
        kept = old.source_ids != bad
        assert torch.equal(old.frames[kept], new.frames[kept])
        assert bad not in new.source_ids.tolist()
        assert len(set(new.source_ids.tolist())) == 5
        for row, reason in new.failures:
            assert row == bad
            assert "v4.mp4" in reason
        num_failures += len(new.failures)
    assert num_failures == 5  # once an epoch


@pytest.mark.parametrize("workers", [0, 1])
def test_when_nothing_can_be_read_the_run_says_so(folder, tmp_path, workers):
    copy = tmp_path / "videos"
    shutil.copytree(folder, copy)
    catalog = scan_videos([copy], workers=1, progress=False).readable()
    for file in copy.iterdir():
        file.write_bytes(b"")
    with pytest.raises(VideoError) as caught:
        load(catalog, workers=workers)
    assert str(caught.value).startswith("None of the 10 videos")
    assert "Traceback" not in str(caught.value)


def build_faulty_worker(*args):
    """Decodes as always, but two videos are too much for it, in native code."""
    read = build_pair_worker(*args)

    def read_or_die(job):
        if job.video.key == "v4.mp4":
            ctypes.PyDLL(None).pause()  # hangs, holding the lock of the interpreter
        if job.video.key == "v7.mp4":
            ctypes.string_at(0)  # crashes
        return read(job)

    return read_or_die


@pytest.fixture
def faulty(monkeypatch):
    monkeypatch.setattr(loader, "build_pair_worker", build_faulty_worker)
    return Limits(max_seconds=6)


@pytest.mark.parametrize("visit", [1, 3])
def test_a_hang_and_a_crash_cost_one_video_each(catalog, folder, tmp_path, faulty, visit):
    """The batches are those of a run in which the two videos cannot be read from the start."""
    path = tmp_path / "quarantine.jsonl"
    options = {"stop": 6, "batch_size": 5, "limits": faulty, "visit": visit, "block": 2}
    batches = load(catalog, workers=2, quarantine=Quarantine(path), **options)
    copy = tmp_path / "videos"
    shutil.copytree(folder, copy)
    missing = Catalog.from_rows(
        dataclasses.replace(info, root=str(copy)) for info in catalog.rows()
    )
    for name in ("v4.mp4", "v7.mp4"):
        (copy / name).unlink()
    for info in missing.rows():
        if info.path.exists():
            os.utime(info.path, ns=(info.mtime_ns, info.mtime_ns))
    expected = load(missing, **options)
    assert same(batches, expected)
    failed, not_there = (
        [row for batch in some for row, _ in batch.failures] for some in (batches, expected)
    )
    assert failed == not_there
    assert len(failed) >= 6  # each once in three epochs

    reasons = {row: reason for batch in batches for row, reason in batch.failures}
    assert {catalog[row].key: reason for row, reason in reasons.items()} == {
        "v4.mp4": "its decoder gave no sign of life for 6 s (--max-seconds)",
        "v7.mp4": "its decoder crashed (SIGSEGV)",
    }
    noted = [json.loads(line)["key"] for line in path.read_text().splitlines()]
    assert set(noted) == {"v4.mp4", "v7.mp4"}
    # Once, or a few times where it is given out again, as a stand-in, before that is known.
    assert len(noted) <= 4


@pytest.mark.parametrize("visit", [1, 2])
def test_a_resumed_run_skips_what_killed_it_from_the_same_place_on(
    catalog, tmp_path, faulty, visit
):
    path = tmp_path / "quarantine.jsonl"
    options = {"workers": 1, "batch_size": 5, "limits": faulty, "visit": visit, "block": 2}
    whole = load(catalog, stop=6, quarantine=Quarantine(path), **options)
    noted = path.read_text()
    assert same(load(catalog, start=3, stop=6, quarantine=Quarantine(path), **options), whole[3:])
    assert same(load(catalog, stop=6, quarantine=Quarantine(path), **options), whole)
    assert path.read_text() == noted


@pytest.mark.parametrize("decoder", ["pyav", "decord"])
def test_other_decoders_give_the_same(video_folder, decoder):
    catalog = scan_videos([video_folder], workers=1, progress=False).readable()
    assert "decord" in catalog.column("route").tolist()
    options = {"workers": 1, "stop": 3, "batch_size": 6}
    assert same(load(catalog, **options), load(catalog, **options, decoder=decoder))


def test_decord_is_loaded_only_where_it_is_of_use(catalog, video_folder, monkeypatch):
    given = []

    class Pool:
        def __init__(self, build, args, **options):
            given.append(args[-1])
            raise RuntimeError("enough is known")

        def __class_getitem__(cls, item):
            return cls

    monkeypatch.setattr(loader, "WorkerPool", Pool)
    with_vp9 = scan_videos([video_folder], workers=1, progress=False)
    for some, decoder in ((catalog, "auto"), (with_vp9, "auto"), (catalog, "decord")):
        with pytest.raises(RuntimeError, match="enough is known"):
            load(some, workers=1, decoder=decoder)
    assert given == ["pyav", "auto", "decord"]


def test_leaving_early_ends_the_processes(catalog):
    before = set(multiprocessing.active_children())
    batches = load_pairs(
        catalog,
        Batching(num_sources=10, batch_size=4),
        rule=PairRule(),
        seed=0,
        canvas=(64, 96),
        steps=range(100),
        workers=2,
    )
    next(batches)
    assert len(set(multiprocessing.active_children()) - before) == 2
    batches.close()
    assert set(multiprocessing.active_children()) <= before
    assert "load pairs" not in [thread.name for thread in threading.enumerate()]


def test_processes_that_do_not_start_end_the_run(catalog, monkeypatch):
    monkeypatch.setattr(loader, "build_pair_worker", build_nothing)
    with pytest.raises(VidmocoError, match="do not start"):
        load(catalog, workers=1)


def build_nothing(*args):
    raise RuntimeError("the library is missing")


def test_many_epochs_of_few_videos_with_few_batches_ahead(catalog):
    """More steps than are in memory at once: places are used again, and no batch is mixed up."""
    here = load(catalog, stop=25, batch_size=5)
    assert same(here, load(catalog, stop=25, batch_size=5, workers=1))


def cut(**changes):
    settings = {"num_sources": 1000, "batch_size": 10, "canvas": (64, 96), "block_gib": 1.0}
    return cut_batches(**(settings | {"pairs_per_visit": 4} | changes))


def test_a_block_is_as_large_as_its_memory():
    pair = 2 * 3 * 64 * 96
    assert cut(block_gib=40 * pair * 7.5 / 2**30).largest_block == 7
    assert cut(block_gib=40 * pair * 7.5 / 2**30).pairs_per_visit == 4
    expected = r"96x64 needs 0\.00137 GiB .* --data\.block-gib is 0\.001"
    with pytest.raises(ConfigError, match=expected):
        cut(block_gib=0.001)
    assert cut(block_gib=0.001, pairs_per_visit=1).largest_block == 1
    usual = cut(block_gib=None, num_sources=10**7, batch_size=1000)
    assert usual.largest_block == cut(block_gib=2, num_sources=10**7, batch_size=1000).largest_block
    # A batch that needs more is given more: MoCo v3's 4,096 pairs of 256 px need 10.7 GiB.
    large = {"num_sources": 10**5, "batch_size": 4096, "canvas": (256, 455)}
    assert cut(block_gib=None, **large).largest_block == 1


def test_the_canvas_has_the_shape_of_the_median_video(tmp_path):
    for number, size in enumerate([(128, 64), (128, 64), (64, 128), (128, 64)]):
        write_video(tmp_path / f"{number}.mp4", num_frames=2, size=size)
    wide = scan_videos([tmp_path], workers=1, progress=False)
    assert canvas_size(wide.aspect_ratios(), short_side=72) == (72, 144)
    write_video(tmp_path / "tall.mp4", num_frames=2, size=(64, 320))
    tall = scan_videos([tmp_path / "tall.mp4"], workers=1, progress=False)
    # At most twice the short side.
    assert canvas_size(tall.aspect_ratios(), short_side=72) == (144, 72)
