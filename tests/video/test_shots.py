import numpy as np
import pytest
from rich.console import Console
from shot_videos import scene, write_scenes

from vidmoco.config.limits import DEFAULT_LIMITS
from vidmoco.video import shots
from vidmoco.video.shots import (
    changes_of,
    cuts_of_videos,
    find_cuts,
    is_cut,
    is_peak,
    median_around,
    shots_of,
)


def cuts(*scenes):
    pictures = [picture for frames in scenes for picture in frames]
    _, changes = changes_of((n / 10, picture) for n, picture in enumerate(pictures))
    return (np.flatnonzero(is_cut(changes)) + 1).tolist()


def test_cuts_are_found_and_nothing_else():
    assert cuts(scene(0), scene(1), scene(2)) == [20, 40]
    assert cuts(scene(0, restless=0.05), scene(1, restless=0.05)) == [20]
    assert cuts(scene(0, frames=60)) == []
    assert cuts(scene(0, restless=0.3, frames=60)) == []  # each picture is unlike the last


def test_a_fade_is_not_found():
    (first, *_), (second, *_) = scene(0), scene(1)
    fade = [((20 - n) * first.astype(float) + n * second.astype(float)) / 20 for n in range(20)]
    assert cuts([first] * 10, [picture.astype(np.uint8) for picture in fade], [second] * 10) == []


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_short_videos_have_none(frames):
    assert cuts(scene(0, frames=frames)) == []


def test_the_median_leaves_out_the_value_itself():
    assert median_around(np.array([1.0, 9.0, 3.0])).tolist() == [6.0, 2.0, 5.0]
    assert median_around(np.array([4.0])).tolist() == [0.0]


def test_of_equal_changes_in_a_row_the_first_is_the_peak():
    peaks = is_peak(np.array([1.0, 2.0, 2.0, 1.0, 3.0]))
    assert peaks.tolist() == [False, True, False, False, True]


def test_a_cache_that_cannot_be_written_costs_time_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDMOCO_CACHE", "/dev/null/cache")
    video = write_scenes(tmp_path / "a.mp4", 0, 1)
    assert [begin for begin, _ in shots_of(video)] == [0.0, 2.0]
    options = {"workers": 1, "limits": DEFAULT_LIMITS, "console": Console(quiet=True)}
    assert cuts_of_videos([video], **options) == [(2.0,)]


def test_cuts_of_files_are_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDMOCO_CACHE", str(tmp_path / "cache"))
    videos = [
        write_scenes(tmp_path / "a.mp4", 0, 1, 2),
        write_scenes(tmp_path / "b.mp4", 3),
        write_scenes(tmp_path / "gone.mp4", 4, 5),
    ]
    (tmp_path / "gone.mp4").unlink()
    console = Console(record=True, width=200)

    def found():
        return cuts_of_videos(videos, workers=1, limits=DEFAULT_LIMITS, console=console)

    assert found() == [(2.0, 4.0), (), ()] and find_cuts(videos[0]) == (2.0, 4.0)
    assert "No shots of 'gone.mp4': " in console.export_text()
    monkeypatch.setattr(shots, "find_cuts", None)  # what is kept is not looked for again
    assert found() == [(2.0, 4.0), (), ()]
    assert shots_of(videos[0], start=1.0, end=5.0) == [(1.0, 2.0), (2.0, 4.0), (4.0, 5.0)]
    assert shots_of(videos[0], start=2.0, end=4.0) == [(2.0, 4.0)]  # a cut is not in it
    next((tmp_path / "cache").rglob("*.json")).write_text("{")
    monkeypatch.undo()
    monkeypatch.setenv("VIDMOCO_CACHE", str(tmp_path / "cache"))
    assert found() == [(2.0, 4.0), (), ()]
