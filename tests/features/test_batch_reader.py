import ctypes
import inspect
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from child_processes import until
from painted_videos import read_index
from wide_videos import damaged, info_of

from vidmoco.backbones.preprocess import Preprocess, resize_and_crop
from vidmoco.config.frame_selection import EVERY_FRAME, FrameSelection
from vidmoco.config.limits import Limits
from vidmoco.errors import VideoError
from vidmoco.features import batch_reader
from vidmoco.features.batch_reader import SLOTS, BatchReader
from vidmoco.video.selected_frames import SelectedFrames
from vidmoco.video.sequential_reader import iter_frames
from vidmoco.workers import process

PREPROCESS = Preprocess(
    size=32,
    crop_pct=1.0,
    interpolation="bicubic",
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
    crop_mode="squash",  # so that a frame still spells its index
)


def reader_of(**options):
    return BatchReader(PREPROCESS, **({"batch_size": 8} | options))


def copy_of(batches):
    """Times and images of batches, taken before their memory is used again."""
    taken = [(batch.times, batch.images.clone()) for batch in batches]
    if not taken:
        return np.empty(0), torch.empty(0, 3, 32, 32, dtype=torch.uint8)
    return np.concatenate([times for times, _ in taken]), torch.cat([image for _, image in taken])


def every_frame(videos, **options):
    return ((video, FrameSelection(**options)) for video in videos)


def indices(images):
    return [read_index(image.permute(1, 2, 0).numpy()) for image in images]


@pytest.fixture(scope="module")
def reader():
    with reader_of() as reader:
        yield reader


@pytest.mark.parametrize("crop_mode", ["center", "squash"])
def test_the_pixels_are_those_of_iter_frames_and_resize_and_crop(tmp_path, crop_mode):
    kinds = ({}, {"size": (640, 480), "rotation": 90}, {"sample_aspect_ratio": Fraction(4, 3)})
    videos = [
        info_of(tmp_path / f"{number}.mp4", grain=40, num_frames=20, **kind)
        for number, kind in enumerate(kinds)
    ]
    preprocess = replace(PREPROCESS, size=40, crop_pct=0.9, crop_mode=crop_mode)
    with BatchReader(preprocess, batch_size=7) as reader:
        for batched in reader.read(every_frame(videos)):
            video = batched.video
            times, images = copy_of(batched.batches)
            frames = list(iter_frames(video))
            np.testing.assert_array_equal(times, [seconds for seconds, _ in frames])
            aspect_ratio = video.aspect_ratio if video.sample_aspect_ratio != 1 else None
            expected = [
                resize_and_crop(
                    torch.from_numpy(picture).permute(2, 0, 1),
                    preprocess,
                    aspect_ratio=aspect_ratio,
                )
                for _, picture in frames
            ]
            assert torch.equal(images, torch.stack(expected))


def test_batches_are_full_but_for_the_last(reader, tmp_path):
    for batched in reader.read(every_frame([info_of(tmp_path / "a.mp4", num_frames=19)])):
        assert [len(batch.images) for batch in batched.batches] == [8, 8, 3]


@pytest.mark.parametrize("workers", [1, 3])
def test_videos_come_in_order_whatever_their_lengths(tmp_path, workers):
    lengths = [1, 40, 8, 100, 3, 9, 17]
    videos = [info_of(tmp_path / f"{n}.mp4", num_frames=n) for n in lengths]
    seen = []
    with reader_of(workers=workers) as reader:
        for batched in reader.read(every_frame(videos)):
            seen.append(batched.video)
            assert indices(copy_of(batched.batches)[1]) == list(range(batched.video.num_frames))
    assert seen == videos


def test_some_frames(reader, tmp_path):
    video = info_of(tmp_path / "a.mp4")
    for options, expected in (({"every": 15}, [0, 15, 30]), ({"fps": 1}, [0, 10, 20, 30])):
        for batched in reader.read(every_frame([video], **options)):
            times, images = copy_of(batched.batches)
            assert indices(images) == expected
            np.testing.assert_allclose(times, np.array(expected) / 10)


def test_decoding_runs_ahead_but_not_over_what_is_used(tmp_path):
    """A slow user: the pictures it looks at stay, and no more than the slots are made."""
    lengths = [6, 1, 30]  # the last one has the ring of the first one
    videos = [info_of(tmp_path / f"{n}.mp4", num_frames=n) for n in lengths]
    with reader_of(batch_size=1) as reader:
        for batched in reader.read(every_frame(videos)):
            for number, batch in enumerate(batched.batches):
                if batched.video is not videos[2]:
                    continue
                assert indices(batch.images) == [number]
                if number >= 6:
                    continue
                ahead = [number, number + 1, number + 2]
                until(lambda ahead=ahead: _made(reader) == ahead)
                time.sleep(0.1)  # time enough for one too many
                assert _made(reader) == ahead


def _made(reader):
    return sorted(indices(image[0] for image in reader._slots[0]))


def test_the_next_videos_are_decoded_meanwhile(tmp_path):
    videos = [info_of(tmp_path / f"{n}.mp4", num_frames=3) for n in range(2)]
    with reader_of() as reader:
        reading = reader.read(every_frame(videos))
        next(next(reading).batches)
        until(reader._slots[1].any)
        assert indices(reader._slots[1, 0, :1]) == [0]
        reading.close()


def test_damage_is_told_after_the_batches(reader, tmp_path):
    video = damaged(tmp_path / "a.mp4", share=0.5)
    expected = []
    times = [seconds for seconds, _ in iter_frames(video, damage=expected)]
    for batched in reader.read(every_frame([video])):
        assert batched.damage == []
        np.testing.assert_array_equal(copy_of(batched.batches)[0], times)
        assert batched.damage == expected
    assert len(expected) == 1


def test_a_file_that_is_gone_costs_itself_only(reader, tmp_path):
    gone, good = info_of(tmp_path / "gone.mp4"), info_of(tmp_path / "good.mp4")
    gone.path.unlink()
    first, second = None, None
    for batched in reader.read(every_frame([gone, good])):
        if batched.video is gone:
            with pytest.raises(
                VideoError,
                match=r"^\S+gone\.mp4: No such file or directory\. Give the ",
            ) as first:
                next(batched.batches)
        else:
            second = indices(copy_of(batched.batches)[1])
    assert first is not None
    assert second == list(range(40))


def test_leaving_a_video_or_the_reading_early(tmp_path):
    videos = [info_of(tmp_path / f"{n}.mp4", num_frames=60) for n in range(4)]
    with reader_of(batch_size=4) as reader:
        left = None
        for number, batched in enumerate(reader.read(every_frame(videos))):
            assert left is None or inspect.getgeneratorstate(left) == "GEN_CLOSED"
            if number % 2 == 0:
                left = batched.batches  # held, so that only ``read`` can end it
                next(left)  # and no more
            else:
                assert indices(copy_of(batched.batches)[1]) == list(range(60))
        reading = reader.read(every_frame(videos))
        next(next(reading).batches)
        reading.close()
        for batched in reader.read(every_frame(videos[:1])):
            assert indices(copy_of(batched.batches)[1]) == list(range(60))


def test_who_waits_long_for_a_slot_is_not_silent(monkeypatch):
    signs, clock, used = [], [0.0], np.zeros(1, np.int64)

    def sleep(seconds):
        clock[0] += seconds
        used[0] = clock[0] > 4.0  # then the caller has done with the first slot

    monkeypatch.setattr(process, "_LISTENERS", [lambda: signs.append(clock[0])])
    monkeypatch.setattr(
        batch_reader, "time", SimpleNamespace(monotonic=lambda: clock[0], sleep=sleep)
    )
    batch_reader._wait_for_slot(SLOTS, used)
    assert max(np.diff([0.0, *signs, clock[0]])) < 0.2


def test_a_video_of_which_little_is_taken_is_not_silent(tmp_path, monkeypatch):
    """A frame in 400 is taken: the others are decoded meanwhile, and that is a sign of life."""
    signs, video = [], info_of(tmp_path / "a.mp4", num_frames=401)
    monkeypatch.setattr(process, "_LISTENERS", [lambda: signs.append(1)])
    job = batch_reader._Job(0, video, FrameSelection(every=400), 0, False)
    slots, used = torch.zeros(SLOTS, 1, 3, 32, 32, dtype=torch.uint8), np.zeros(1, np.int64)
    with ThreadPoolExecutor(1) as resizer:
        parts = batch_reader._fill(job, slots, used, PREPROCESS, Limits(), resizer)
        assert next(parts).times == [0.0]
        before = len(signs)
        assert next(parts).times == [40.0]
    assert len(signs) > before + 2


def build_faulty_worker(rings, preprocess, limits):
    """Works as always, but some files hang or crash it in native code after some batches."""
    fill = honest_build(rings, preprocess, limits)

    def fill_or_die(job):
        for number, part in enumerate(fill(job)):
            if number == 2 and job.video.key == "hang.mp4":
                ctypes.PyDLL(None).pause()  # in C, holding the lock of the interpreter
            if number == 2 and job.video.key == "crash.mp4":
                ctypes.string_at(0)
            yield part

    return fill_or_die


honest_build = batch_reader._build_worker


def test_a_decoder_that_hangs_or_crashes_is_an_error_of_its_video(tmp_path, monkeypatch):
    monkeypatch.setattr(batch_reader, "_build_worker", build_faulty_worker)
    names = ("hang.mp4", "good1.mp4", "crash.mp4", "good2.mp4")
    videos = [info_of(tmp_path / name) for name in names]
    errors = {}
    with reader_of(limits=Limits(max_seconds=10)) as reader:
        for batched in reader.read(every_frame(videos)):
            try:
                assert indices(copy_of(batched.batches)[1]) == list(range(40))
            except VideoError as error:
                errors[batched.video.key] = str(error)
    assert set(errors) == {"hang.mp4", "crash.mp4"}
    assert "no sign of life for 10 s" in errors["hang.mp4"]
    assert "SIGSEGV" in errors["crash.mp4"]
    assert all(error.startswith(str(tmp_path / key)) for key, error in errors.items())


def test_frames_never_come_twice(tmp_path):
    """Who ends the process from outside ends the video: begun anew, its first frames come again."""
    video = info_of(tmp_path / "a.mp4", num_frames=60)
    with reader_of(batch_size=4) as reader:
        for batched in reader.read(every_frame([video])):
            next(batched.batches)
            os.kill(reader._pool._workers[0].process.pid, signal.SIGTERM)
            with pytest.raises(VideoError, match="ended from outside \\(SIGTERM\\)"):
                copy_of(batched.batches)


def test_memory_is_limited(tmp_path):
    video = info_of(tmp_path / "a.mp4", size=(1280, 720), num_frames=8)
    with reader_of(limits=Limits(max_memory_per_worker=2**-8)) as reader:
        for batched in reader.read(every_frame([video])):
            with pytest.raises(VideoError, match=r"more than 0\.00391 GiB of memory"):
                next(batched.batches)


def test_a_failure_waits_for_the_pictures_at_work(tmp_path, monkeypatch):
    """Else the last of them would go into a ring that is another video's by then."""

    def frames():
        yield 0.0, np.full((48, 64, 3), 200, np.uint8), 0
        raise VideoError("it ends here")

    monkeypatch.setattr(batch_reader, "select_frames", lambda *_, **__: SelectedFrames(frames()))
    job = batch_reader._Job(0, info_of(tmp_path / "a.mp4"), EVERY_FRAME, 0, False)
    slots, used = torch.zeros(SLOTS, 4, 3, 32, 32, dtype=torch.uint8), np.zeros(1, np.int64)
    with ThreadPoolExecutor(1) as resizer:
        resizer.submit(time.sleep, 0.3)
        with pytest.raises(VideoError, match="it ends here"):
            next(batch_reader._fill(job, slots, used, PREPROCESS, Limits(), resizer))
        assert (slots[0, 0] == 200).all()


def test_closing_ends_the_processes(tmp_path):
    videos = [info_of(tmp_path / f"{n}.mp4") for n in range(2)]
    with reader_of(workers=2) as reader:
        reading = reader.read(every_frame(videos))
        batches = next(reading).batches
        next(batches)
        processes = [worker.process for worker in reader._pool._workers]
        assert len({os.getpid(), *(process.pid for process in processes)}) == 3
    assert not any(process.is_alive() for process in processes)
    with pytest.raises(RuntimeError, match=r"0\.mp4 has ended"):
        list(batches)


def test_no_frames_in_a_batch_is_refused():
    with pytest.raises(ValueError, match="batch_size = 0, expected 1 or more"):
        reader_of(batch_size=0)
