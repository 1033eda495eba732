"""Small videos with bytes changed at random: an answer comes, and the next file is read."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from painted_videos import write_video

from vidmoco.config.limits import Limits
from vidmoco.errors import VideoError
from vidmoco.workers.pool import WorkerPool

LIMITS = Limits(
    max_seconds=10.0, max_memory_per_worker=1.0, max_pixels=1920 * 1080, max_frames=10_000
)
FILES = {
    "a.mp4": {},
    "fragments.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "a.mkv": {},
    "a.ts": {},
    "a.avi": {"codec": "mpeg4", "b_frames": 2},
    "a.webm": {"codec": "libvpx-vp9"},
}


def most_memory():
    """Return the most memory that this process ever held, in bytes; 0 where only Linux knows it.

    Not by getrusage, whose maximum counts what the parent held when it started this process.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def build_reader(limits):
    """Return what a worker does with a file: look at it, read it in order and at random."""
    from vidmoco.video.decode import read_frames
    from vidmoco.video.probe import probe_video
    from vidmoco.video.sequential_reader import iter_frames

    before = most_memory()

    def read(path):
        video = probe_video(path, root=path.parent, limits=limits)
        result = {"video": video, "times": [], "shapes": set(), "errors": [], "at_random": []}
        try:
            for seconds, picture in iter_frames(video, limits=limits):
                result["times"].append(seconds)
                result["shapes"].add(picture.shape)
        except VideoError as error:
            result["errors"].append(str(error))
        for share in (0.9, 0.2):
            time = share * video.last_seconds
            try:
                frames = read_frames(video, [time], limits=limits)
                result["at_random"].append((time, frames.pts_seconds[0]))
                result["shapes"].add(frames.images.shape[1:])
            except VideoError as error:
                result["errors"].append(str(error))
        result["growth"] = most_memory() - before
        return result

    return read


@pytest.fixture(scope="module")
def pool(request):
    """One process for all files, as long as it lives."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(request.config.rootpath))  # there it finds this module
        with WorkerPool(
            build_reader,
            (LIMITS,),
            workers=1,
            max_memory=LIMITS.max_memory,
            max_seconds=LIMITS.max_seconds,
        ) as pool:
            yield pool


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """The bytes of each file."""
    folder = tmp_path_factory.mktemp("mutations")
    for name, options in FILES.items():
        write_video(folder / name, num_frames=20, gop=8, **options)
    return folder, {name: (folder / name).read_bytes() for name in FILES}


@dataclasses.dataclass(frozen=True)
class Change:
    """What is done to the bytes; places are shares of the length."""

    kind: str
    place: float
    other: float
    length: int
    value: int

    def apply(self, data):
        start, other = int(self.place * len(data)), int(self.other * len(data))
        end = start + self.length
        if self.kind == "flip":
            return data[:start] + bytes([self.value]) + data[start + 1 :]
        if self.kind == "fill":
            return data[:start] + bytes([self.value] * self.length) + data[end:]
        if self.kind == "delete":
            return data[:start] + data[end:]
        if self.kind == "insert":
            return data[:start] + bytes([self.value] * self.length) + data[start:]
        if self.kind == "repeat":
            return data[:other] + data[start:end] + data[other:]
        return data[: max(1, start)]  # cut off


shares = st.floats(0, 1, exclude_max=True)
changes = st.builds(
    Change,
    kind=st.sampled_from(["flip", "flip", "flip", "fill", "delete", "insert", "repeat", "cut"]),
    place=shares | st.floats(0, 0.1),  # headers are at the start
    other=shares,
    length=st.integers(1, 400),
    value=st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255),
)


def answer(pool, path):
    (report,) = pool.map([path])
    assert report.limit != "max_memory", report.failure
    assert not report.failure, report.failure
    return report.value


@settings(
    deadline=None,
    max_examples=60,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(name=st.sampled_from(list(FILES)), todo=st.lists(changes, min_size=1, max_size=8))
def test_any_bytes_are_answered(pool, originals, name, todo):
    folder, contents = originals
    data = contents[name]
    for change in todo:
        data = change.apply(data)
    path = folder / f"changed-{name}"
    path.write_bytes(data)
    result = answer(pool, path)
    video, times = result["video"], result["times"]
    assert all("\n" not in text for text in [video.reason, *result["errors"]])
    assert all(text.startswith(str(path)) for text in result["errors"])
    if video.route == "refused":
        assert video.reason
        assert (times, len(result["errors"])) == ([], 3)
        return
    assert video.num_frames >= 1
    assert times == sorted(set(times))
    assert np.isfinite(times).all()
    assert result["shapes"] <= {(video.height, video.width, 3)}
    for time, pts in result["at_random"]:
        assert 0 <= pts <= max(time, min(times, default=np.inf))
    assert result["growth"] < LIMITS.max_memory


def test_the_files_are_good_before_they_are_changed(pool, originals):
    folder, _ = originals
    for name in FILES:
        result = answer(pool, folder / name)
        assert len(result["times"]) == 20
        assert len(result["at_random"]) == 2
        assert not result["errors"]
