import numpy as np
import pytest

from vidmoco.visualize.drawing import round_step, shrink


@pytest.mark.parametrize(
    ("end", "most", "step"),
    [(1.5, 30, 0.05), (1.0, 10, 0.1), (10, 4, 5), (0.07, 4, 0.02), (0, 4, 1.0), (3, 3, 1)],
)
def test_round_steps(end, most, step):
    assert round_step(end, most=most) == pytest.approx(step)


def test_shapes_of_pictures():
    picture = np.zeros((100, 200, 3), np.uint8)
    assert shrink(picture, 2.0, (160, 120)).shape == (80, 160, 3)
    assert shrink(picture, 0.001, (160, 120)).shape == (120, 1, 3)
    assert shrink(picture, 1000.0, (160, 120)).shape == (1, 160, 3)
