"""How processes share videos; with real processes it is in faults/test_kill_dataset.py."""

from pathlib import Path

import pytest

from vidmoco.backbones.frozen import load_frozen
from vidmoco.errors import VideoError
from vidmoco.features import extract_many as module
from vidmoco.features.claims import Worker
from vidmoco.features.extract_many import extract_many
from vidmoco.features.extract_outputs import FileOutput, id_of
from vidmoco.features.extraction import Extraction
from vidmoco.features.output_folder import output_folder
from vidmoco.video.info import VideoInfo


class Memory(FileOutput):
    """An output that only notes what is written."""

    def __init__(self, worker, already=()):
        self._worker, self.there, self.flushed = worker, set(already), 0
        self.by_others: set[str] = set()  # seen after a refresh

    def has(self, one):
        return one.name in self.there

    def wrote(self, one):
        self.there.add(one.name)
        self._worker.release(id_of(one.name))

    def refresh(self):
        self.there |= self.by_others

    def flush(self):
        self.flushed += 1

    def damage_of(self, one):
        return [f"{one.name} lacks a frame"]


@pytest.fixture
def worker(tmp_path):
    with Worker(output_folder(tmp_path / "f")) as made:
        yield made


def videos(*names):
    info = VideoInfo(root="/", key="a", num_bytes=0, mtime_ns=0)
    return [Extraction(info, Path(), name=name) for name in names]


@pytest.fixture
def run(worker, monkeypatch, backbone):
    """Extract videos by name; ``meanwhile(name)`` is called as each is extracted."""

    def run(output, todo, meanwhile=lambda name: None, waits=None):
        def extract_videos(frozen, files, *, write, **_):
            for one in files:
                meanwhile(one.name)
                yield one, VideoError("broken") if one.name == "bad" else 1

        monkeypatch.setattr(module, "extract_videos", extract_videos)
        monkeypatch.setattr(module, "_BETWEEN_LOOKS", 0.0)
        results = extract_many(
            load_frozen(str(backbone)), todo, output, worker, with_files=lambda files: files,
            on_wait=[].append if waits is None else waits,
        )  # fmt: skip
        found = list(results)
        for one, result, damage in found:
            assert list(damage) == output.damage_of(one) * isinstance(result, int)
        return [(one.name, str(result)) for one, result, _ in found]

    return run


def test_each_video_comes_once_to_its_end(worker, run):
    output = Memory(worker)
    assert run(output, videos("a", "bad", "c")) == [("a", "1"), ("bad", "broken"), ("c", "1")]
    assert output.flushed == 1 and worker.closed() == {id_of("bad"): "broken"}


def test_what_another_process_has_is_waited_for(worker, run, tmp_path):
    other, output = Worker(output_folder(tmp_path / "f")), Memory(worker)
    worker.is_alive, worker.had_company = (lambda name: True), True
    assert other.claim(id_of("b")) and other.claim(id_of("d"))
    waited = []

    def waits(number):
        waited.append(number)
        output.there.add("b")
        other.release(id_of("b"))
        other.close(id_of("d"), "it hangs")

    found = run(output, videos("a", "b", "d"), waits=waits)
    assert found == [("a", "1"), ("d", "it hangs"), ("b", "None")]
    assert waited == [2]


def test_what_a_dead_process_had_is_taken_over(worker, run, tmp_path):
    dead = Worker(output_folder(tmp_path / "f"))
    assert dead.claim(id_of("b"))
    assert run(Memory(worker), videos("a", "b")) == [("a", "1"), ("b", "1")]


def test_what_another_process_has_just_written_is_not_written_again(worker, run):
    output = Memory(worker)
    worker.had_company = True
    found = run(output, videos("a", "b"), meanwhile=lambda name: output.by_others.add("b"))
    assert found == [("a", "1"), ("b", "None")]


def test_what_is_known_to_be_written_is_not_claimed(worker, run, monkeypatch):
    output, claimed = Memory(worker), []
    claim = worker.claim
    monkeypatch.setattr(worker, "claim", lambda video: claimed.append(video) or claim(video))
    worker.had_company = True
    found = run(output, videos("a", "b"), meanwhile=lambda name: output.there.add("b"))
    assert found == [("a", "1"), ("b", "None")] and claimed == [id_of("a")]
