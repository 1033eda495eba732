"""The demo's picture: the right images in the right places, frames and bars that tell the truth."""

import sys

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from vidmoco.demo import picture
from vidmoco.errors import ConfigError

GREEN, RED = (26, 150, 65), (215, 48, 31)


def panel(correct, *, name="Trained", top1=70.0):
    correct = np.asarray(correct, dtype=bool)
    grey = np.arange(correct.size, dtype=np.uint8).reshape(*correct.shape, 1, 1, 1) * 20
    return picture.Panel(
        name=name,
        neighbours=np.broadcast_to(grey, (*correct.shape, 8, 8, 3)).copy(),
        correct=correct,
        top1=top1,
    )


def draw(path, panels, *, rows=2):
    picture.draw_demo_picture(
        path,
        queries=np.zeros((rows, 8, 8, 3), np.uint8),
        panels=panels,
        title="Title",
        caption="Caption",
        chance=10.0,
    )
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).reshape(-1, 3)


def count(pixels, colour):
    return int((pixels == colour).all(axis=1).sum())


def test_frames_are_green_for_right_and_red_for_wrong(tmp_path):
    all_right = draw(tmp_path / "new" / "a.png", [panel([[1, 1], [1, 1]])])
    assert count(all_right, GREEN) > 500
    assert count(all_right, RED) == 0
    all_wrong = draw(tmp_path / "b.png", [panel([[0, 0], [0, 0]])])
    assert count(all_wrong, GREEN) == 0
    assert count(all_wrong, RED) > count(all_right, GREEN)  # as many frames, and the crosses


def test_three_panels_make_one_wide_picture(tmp_path):
    panels = [panel([[1, 0], [0, 1]], name=name) for name in ("A", "B\nb", "C")]
    draw(tmp_path / "a.png", panels)
    with Image.open(tmp_path / "a.png") as image:
        width, height = image.size
    assert width > 1.2 * height


def test_every_image_lies_in_its_row_and_column():
    axes = blank_axes()
    tiles = panel([[1, 1, 1], [1, 0, 1]])
    picture._draw_tiles(axes, tiles.neighbours, correct=tiles.correct, frame="#000000")
    step = picture._TILE + picture._GAP
    for image in axes.images:
        left, _, _, top = image.get_extent()
        row, column = int(top // step), int(left // step)
        shown = np.asarray(image.get_array())
        expected = tiles.neighbours[row, column]
        if (row, column) == (1, 1):
            expected = expected // 2 + 128  # a wrong one is faded
        assert np.array_equal(shown, expected)
    assert len(axes.images) == 6
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first row is on top


def test_bars_have_the_height_of_the_scores_and_the_last_stands_out():
    axes = blank_axes()
    scores = [31.5, 50.0, 74.25]
    picture._draw_bars(axes, [panel([[1]], top1=s) for s in scores], chance=10.0)
    assert [bar.get_height() for bar in axes.patches] == scores
    assert [text.get_text() for text in axes.texts[:3]] == ["31.5", "50.0", "74.2"]
    colours = [to_hex(bar.get_facecolor()) for bar in axes.patches]
    assert len(set(colours)) == 3
    assert colours[-1] == picture._BARS[-1]
    assert axes.lines[0].get_ydata() == [10.0, 10.0]


def blank_axes():
    figure = Figure()
    FigureCanvasAgg(figure)
    return figure.subplots()


def test_a_panel_that_does_not_fit_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"Panel 'Short' .* expected 2 rows"):
        draw(tmp_path / "a.png", [panel([[1, 1]], name="Short")])
    with pytest.raises(ConfigError, match="2 queries and 0 panels"):
        draw(tmp_path / "c.png", [])
    assert not (tmp_path / "a.png").exists()


def test_matplotlib_missing_is_said_with_the_cure(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigError, match=r"pip install 'vidmoco\[eval\]'"):
        draw(tmp_path / "a.png", [panel([[1], [1]])])
