"""A worker without Ray: it is a generator."""

from threading import Event

import pytest
import torch
from painted_videos import write_video

from vidmoco.backbones.frozen import load_frozen
from vidmoco.config.extract import ExtractCommand
from vidmoco.features import ray_worker
from vidmoco.features.claims import CLAIMS, WORKERS, Worker
from vidmoco.features.dataset import open_or_begin
from vidmoco.features.dataset_settings import read_settings
from vidmoco.features.extract_here import open_output
from vidmoco.features.extract_outputs import id_of
from vidmoco.features.extract_plan import planned
from vidmoco.features.output_folder import INTERNAL, output_folder
from vidmoco.features.ray_worker import Job, work
from vidmoco.video.open_catalog import open_catalog


@pytest.fixture
def job(tmp_path, backbone):
    for name in "abc":
        write_video(tmp_path / "videos" / f"{name}.mp4", num_frames=3)
    command = ExtractCommand(
        videos=(tmp_path / "videos",), output=tmp_path / "feats", device="cpu", workers=1
    )
    catalog = open_catalog(list(command.videos), workers=1)
    todo, _ = planned(command, catalog, [], is_many=True)
    (tmp_path / "videos" / "b.mp4").write_bytes(b"broken since the scan")
    frozen = load_frozen(str(backbone))
    folder = output_folder(command.output)
    folder.make()
    with Worker(folder) as driver:
        open_output(folder, driver, frozen, command, {})
        yield Job(frozen, todo, command, {}, driver.id, str(todo[0].video.path))


def test_each_begins_elsewhere_and_tells_what_came_of_each_video(job):
    first, *reports = work(job, start=1)
    assert set(first) == {"worker"}
    assert [report["video"] for report in reports] == [1, 2, 0]
    assert "b.mp4" in reports[0]["reason"] and "rows" not in reports[0]
    assert reports[1:] == [{"video": 2, "rows": 3, "damage": []},
                           {"video": 0, "rows": 3, "damage": []}]  # fmt: skip
    second = list(work(job, start=0))  # a failed video is not tried again, by any worker
    assert [report["video"] for report in second[1:]] == [1]


def test_a_stopped_worker_keeps_what_it_has(job):
    stopped = Event()
    reports = work(job, 0, stopped)
    assert next(reports).keys() == {"worker"}
    assert next(reports) == {"video": 0, "rows": 3, "damage": []}
    stopped.set()
    assert list(reports) == []
    folder = output_folder(job.command.output)
    dataset = open_or_begin(folder, read_settings(folder))
    assert list(dataset.places) == ["a.mp4"]
    assert list(folder.sizes(WORKERS)) == [job.driver]
    assert list(folder.sizes(CLAIMS)) == [id_of("a.mp4")]  # closed: others may not have looked yet
    assert set(folder.sizes(INTERNAL)) == {"dataset.json"}


def test_a_node_that_does_not_see_what_the_driver_sees(job, tmp_path):
    from dataclasses import replace

    (error,) = work(replace(job, driver="0000000a"), 0)
    assert "is another folder on this node" in error["error"]
    (error,) = work(replace(job, sample=str(tmp_path / "gone.mp4")), 0)
    assert "gone.mp4 is not there on this node" in error["error"]
    (error,) = work(replace(job, command=replace(job.command, device="cuda:7")), 0)
    assert "'cuda:7' is not here" in error["error"]


def test_memory_that_is_used_up_is_told(job, monkeypatch):
    def full(*arguments):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")

    monkeypatch.setattr(ray_worker, "put_on_device", full)
    (report,) = work(job, start=0)
    assert "There is not enough memory: CUDA out of memory. Tried to" in report["error"]
    assert "Give a smaller --batch-size" in report["error"]
