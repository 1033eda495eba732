import json
import shutil
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch
from painted_videos import read_index, write_video

from vidmoco.config.limits import DEFAULT_LIMITS
from vidmoco.data.order import Batching, BatchOrder, Place
from vidmoco.data.prepared_loader import load_prepared
from vidmoco.data.sampling import PairPlan, PairRule
from vidmoco.errors import ConfigError, VideoError
from vidmoco.frames.index import FrameIndex, VideoRow, frame_table, shard_name, write_index
from vidmoco.frames.prepared import open_prepared
from vidmoco.frames.selection import Selection
from vidmoco.frames.store import Store, is_prepared
from vidmoco.frames.writer import FrameSettings, PrepareJob, write_frames
from vidmoco.video.probe import probe_video

NUM_VIDEOS = 7
SETTINGS = FrameSettings(fps=None, short_side=64, quality=90, selection=Selection())


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Frame i of video v spells 100 v + i; 10 fps; the last video has no frames."""
    folder = tmp_path_factory.mktemp("frames")
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


@pytest.fixture
def folder(originals, tmp_path):
    shutil.copytree(originals, tmp_path / "frames")
    return tmp_path / "frames"


def load(frames, *, steps=range(6), rule=PairRule(), workers=2, seed=0, **more):  # noqa: B008
    batching = Batching(num_videos=len(frames.videos), batch_size=3)
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


def spelled(picture):
    return read_index(picture.permute(1, 2, 0).numpy())


def test_any_frame(originals):
    frames = open_prepared(originals)
    assert [video.name for video in frames.videos] == [f"{n}.mp4" for n in range(NUM_VIDEOS)]
    for video, seconds, index in [(0, 0.0, 0), (6, 1.95, 19), (3, -1, 0), (3, 9, 19), (2, 0.35, 3)]:
        frame = frames.frame_at(video, seconds)
        assert spelled(frames.read(frame)) == 100 * video + index
        assert frames.columns["pts_seconds"][frame] == pytest.approx(index / 10)


def test_batches_are_those_of_the_plan(originals):
    frames = open_prepared(originals)
    batching = Batching(num_videos=NUM_VIDEOS, batch_size=3)
    plan = PairPlan(BatchOrder(batching, seed=0), frames.durations, rule=PairRule(), seed=0)
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


def test_single_frames(originals):
    for batch in load(open_prepared(originals), rule=PairRule(single_frame=True)):
        assert torch.equal(batch.frames[:, 0], batch.frames[:, 1])


def test_other_sizes_are_resized(originals):
    frames = open_prepared(originals)
    batching = Batching(num_videos=NUM_VIDEOS, batch_size=3)
    (batch,) = load_prepared(
        frames, batching, rule=PairRule(), seed=0, canvas=(48, 56), steps=range(1), workers=1
    )
    assert batch.frames.shape == (3, 2, 3, 48, 56)
    assert spelled(batch.frames[0, 0]) // 100 == batch.source_ids[0]


def test_leaving_and_being_stopped(originals):
    frames = open_prepared(originals)
    batching = Batching(num_videos=NUM_VIDEOS, batch_size=3)
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


def flip(path, position):
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


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


def make_folder(path):
    path.unlink()
    path.mkdir()


def edit_key(folder, **changes):
    path = folder / "frames.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        (lambda f: (f / shard_name(1)).unlink(), "000001.tar is missing"),
        (lambda f: shutil.move(f / "shards", f / "elsewhere"), "000000.tar is missing"),
        (
            lambda f: (f / shard_name(1)).write_bytes((f / shard_name(1)).read_bytes()[:999]),
            "000001.tar has 999 bytes, expected",
        ),
        (lambda f: edit_key(f, version=7), "another version of vidmoco"),
        (lambda f: edit_key(f, format="other"), "does not belong to prepared frames"),
        (lambda f: edit_key(f, settings=None), "frames.json is damaged: 'settings' is None"),
        (lambda f: (f / "frames.json").write_bytes(b"\xff{}"), "frames.json is damaged"),
        (lambda f: make_folder(f / "frames.json"), "frames.json cannot be read"),
        (lambda f: make_folder(f / "frames-1.parquet"), "cannot be read"),
        (lambda f: (f / "frames.json").write_text("{"), "frames.json is damaged"),
        (lambda f: (f / "frames.json").write_text("[]"), "frames.json is damaged"),
        (lambda f: (f / "frames-1.parquet").write_bytes(b"PAR1"), "is damaged: it has 4 bytes"),
        (lambda f: flip(f / "frames-1.parquet", 200), "frames-1.parquet is damaged: its SHA-256"),
        (lambda f: flip(f / "videos-1.parquet", 200), "videos-1.parquet is damaged: its SHA-256"),
        (lambda f: (f / "videos-1.parquet").unlink(), "is missing"),
        (lambda f: edit_key(f, num_frames=3), "is incomplete"),
        (lambda f: shutil.copy(f / "videos-1.parquet", f / "frames-1.parquet"), "is damaged"),
        (
            lambda f: shutil.move(f / "frames.json", f / "journal.jsonl"),
            "is not finished. Give the same `vidmoco prepare` command again",
        ),
        (lambda f: (f / "frames.json").unlink(), "holds no prepared frames"),
    ],
)
def test_a_folder_that_is_not_whole(folder, harm, expected):
    harm(folder)
    with pytest.raises(ConfigError) as caught:
        open_prepared(folder)
    assert expected in str(caught.value)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_key_is_that_of_the_index(folder, monkeypatch):
    """It is read once: read twice, it could be another's in between."""
    read, names = Store.content, []
    monkeypatch.setattr(Store, "content", lambda self, name: names.append(name) or read(self, name))
    frames = open_prepared(folder)
    assert frames.key == json.loads((folder / "frames.json").read_text())
    assert names == ["frames.json", "frames-1.parquet", "videos-1.parquet"]


def test_a_folder_that_is_moved_as_a_whole(folder, tmp_path):
    before = load(open_prepared(folder))
    folder.rename(tmp_path / "moved")
    assert same(before, load(open_prepared(tmp_path / "moved")))


def test_from_a_url(folder):
    system = fsspec.filesystem("memory")
    system.put(str(folder), "/bucket/frames", recursive=True)
    try:
        source = Path("memory://bucket/frames")
        assert is_prepared(source)
        assert same(load(open_prepared(folder)), load(open_prepared(source)))
        system.rm("/bucket/frames/shards/000003.tar")
        with pytest.raises(ConfigError, match=r"memory://bucket/frames/shards/000003\.tar is miss"):
            open_prepared(source)
        with pytest.raises(ConfigError, match="memory://bucket/none holds no prepared frames"):
            open_prepared(Path("memory://bucket/none"))
    finally:
        system.rm("/bucket", recursive=True)


def test_from_a_url_that_serves_whole_files_only(folder, monkeypatch):
    system = fsspec.filesystem("memory")
    system.put(str(folder), "/bucket/frames", recursive=True)
    source = Path("memory://bucket/frames")
    try:
        monkeypatch.setattr(type(system), "size", lambda self, path: None)
        assert open_prepared(source).read(0).shape == (3, 64, 96)  # no size is no harm
        whole = type(system).cat_file
        monkeypatch.setattr(type(system), "cat_file", lambda self, path, **part: whole(self, path))
        with pytest.raises(ConfigError, match="memory://bucket/frames: asked for 1 bytes, the ser"):
            open_prepared(source)
    finally:
        system.rm("/bucket", recursive=True)


def test_what_is_prepared(folder, tmp_path):
    assert is_prepared(folder)
    assert not is_prepared(tmp_path)
    assert not is_prepared(folder / "frames.json")
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "journal.jsonl").touch()
    assert is_prepared(tmp_path / "begun")
