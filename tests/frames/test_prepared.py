import json
import shutil
from pathlib import Path

import fsspec
import pytest
import torch
from prepared_folders import NUM_VIDEOS, flip, spelled, write_prepared

from vidmoco.errors import ConfigError
from vidmoco.frames.index import shard_name
from vidmoco.frames.prepared import open_prepared
from vidmoco.frames.store import Store, is_prepared


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    return write_prepared(tmp_path_factory.mktemp("frames"))


@pytest.fixture
def folder(originals, tmp_path):
    shutil.copytree(originals, tmp_path / "frames")
    return tmp_path / "frames"


def test_any_frame(originals):
    frames = open_prepared(originals)
    assert [video.name for video in frames.videos] == [f"{n}.mp4" for n in range(NUM_VIDEOS)]
    for video, seconds, index in [(0, 0.0, 0), (6, 1.95, 19), (3, -1, 0), (3, 9, 19), (2, 0.35, 3)]:
        frame = frames.frame_at(video, seconds)
        assert spelled(frames.read(frame)) == 100 * video + index
        assert frames.columns["pts_seconds"][frame] == pytest.approx(index / 10)
        assert frames.frame_at(video, frames.pts_seconds[frame]) == frame  # at its own time too


def pixels(folder):
    """All frames of a prepared folder."""
    frames = open_prepared(folder)
    return torch.stack([frames.read(n) for n in range(20 * NUM_VIDEOS)])


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
    before = pixels(folder)
    folder.rename(tmp_path / "moved")
    assert torch.equal(before, pixels(tmp_path / "moved"))


def test_from_a_url(folder):
    system = fsspec.filesystem("memory")
    system.put(str(folder), "/bucket/frames", recursive=True)
    try:
        source = Path("memory://bucket/frames")
        assert is_prepared(source)
        assert torch.equal(pixels(folder), pixels(source))
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
