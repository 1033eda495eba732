import math

import numpy as np

from vidmoco.hub.curve import training_curve


def lines(*values, key="loss_minus_chance"):
    return [{"step": n, "epoch": n / 2, key: value} for n, value in enumerate(values)]


def blue(picture):
    """Where the line is: columns and rows of its pixels."""
    pixels = np.asarray(picture).astype(int)
    return np.nonzero((pixels[..., 2] > 150) & (pixels[..., 0] < 60))


def test_the_line_falls_with_the_loss():
    picture = training_curve(lines(0.0, -1.0, -2.0, -3.0), [])
    assert picture.size == (760, 460)
    rows, columns = blue(picture)
    left, right = rows[columns < columns.min() + 20], rows[columns > columns.max() - 20]
    assert left.mean() + 200 < right.mean()
    assert columns.max() - columns.min() > 600


def test_a_panel_for_each_of_loss_accuracy_and_monitor():
    metrics = [a | b for a, b in zip(lines(1, 2), lines(3, 4, key="top1"), strict=True)]
    assert training_curve(metrics, []).size[0] == 2 * 760
    assert training_curve(metrics, lines(5, 6, key="knn_top1")).size[0] == 3 * 760


def test_gaps_and_single_points():
    assert len(blue(training_curve(lines(1.0), []))[0]) > 20
    assert len(blue(training_curve(lines(1.0, math.nan, None, 2.0), []))[0]) > 500
    assert training_curve(lines(math.nan, "x"), []) is None
    assert training_curve([], []) is None
