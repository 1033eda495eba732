import math
import os
import signal
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from painted_videos import read_index, write_video

from vidmoco.video import requests
from vidmoco.video.probe import probe_video
from vidmoco.video.requests import Request, read_requests

BUILD_READER = requests._build_reader


def video_at(path, **options):
    write_video(path, num_frames=40, **options)
    return probe_video(path, root=path.parent)


def build_faulty_reader(*args):
    """Return a reader that dies of `crash.mp4`, after its first part."""
    requests._BYTES_AT_ONCE = 1  # a part is a frame
    read = BUILD_READER(*args)

    def read_or_die(job):
        for part in read(job):
            yield part
            if job.request.video.key == "crash.mp4":
                os.kill(os.getpid(), signal.SIGSEGV)

    return read_or_die


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_answers_are_in_order_whatever_happens(tmp_path, monkeypatch, workers):
    monkeypatch.setattr(requests, "_build_reader", build_faulty_reader)
    videos = [video_at(tmp_path / name) for name in ("a.mp4", "crash.mp4", "gone.mp4", "b.ts")]
    (tmp_path / "gone.mp4").unlink()
    answers = read_requests([Request(video, (3.0, 1.0)) for video in videos], workers=workers)
    first, crashed, gone, last = answers
    for answer in (first, last):
        assert [read_index(image) for image in answer.images] == [30, 10]
        assert answer.pts_seconds == [3.0, 1.0]
        assert answer.failure == ""
    assert len(gone.failures) == 2
    for failure in gone.failures:
        assert failure.startswith("No such file or directory. Give the command again")
    assert [len(image) for image in gone.images] == [0, 0] and all(
        map(math.isnan, gone.pts_seconds)
    )
    assert read_index(crashed.images[0]) == 30  # what came before is kept
    if workers:  # else this process is not put at risk
        assert crashed.failures == ["", "its decoder crashed (SIGSEGV)"]
        assert crashed.failure == crashed.failures[1] and len(crashed.images[1]) == 0


def first_row(number, video, images):
    assert images.ndim == 4
    return images[:, :number]


@pytest.mark.parametrize("workers", [0, 1])
def test_frames_are_converted_where_they_are_read(tmp_path, workers):
    video = video_at(tmp_path / "a.mp4")
    (answer,) = read_requests(
        [Request(video, (0.0, 0.5, 0.5))], convert=partial(first_row, 2), workers=workers
    )
    assert [image.shape for image in answer.images] == 3 * [(2, video.width, 3)]
    np.testing.assert_array_equal(answer.images[1], answer.images[2])


def test_nothing_is_asked_for(tmp_path):
    assert list(read_requests([])) == []
    (answer,) = read_requests([Request(video_at(tmp_path / "a.mp4"), ())])
    assert (answer.images, answer.failure) == ([], "")


@pytest.mark.parametrize("with_torch", [False, True])
def test_a_process_has_torch_only_where_it_is_needed(tmp_path, with_torch):
    """Importing it takes seconds."""
    code = f"""
import sys
from pathlib import Path
from vidmoco.video.open_catalog import open_catalog
from vidmoco.video.requests import Request, read_requests
from asks_for_torch import has_torch
video = open_catalog([Path({str(tmp_path / "a.mp4")!r})], progress=False)[0]
(answer,) = read_requests([Request(video, (0.0,))], convert=has_torch, with_torch={with_torch})
assert "torch" not in sys.modules
print(answer.images[0].item())
"""
    video_at(tmp_path / "a.mp4")
    (tmp_path / "asks_for_torch.py").write_text(
        "import sys\nimport numpy as np\n"
        "def has_torch(video, images):\n"
        "    return np.array([['torch' in sys.modules]] * len(images))\n"
    )
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": path, "VIDMOCO_CACHE": str(tmp_path)},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, f"{with_torch}\n"), done.stderr
