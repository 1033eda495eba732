import numpy as np
import pytest
import torch
from scipy.ndimage import laplace

from vidmoco.frames.selection import Selection, is_black, select_frames, sharpness


def noise(seed=0, *, high=256, size=(40, 60)):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, high, (3, *size), dtype=torch.uint8, generator=generator)


def kept(frames, **selection):
    dropped = {}
    times = [
        seconds for seconds, _ in select_frames(enumerate(frames), Selection(**selection), dropped)
    ]
    return times, dropped


def test_all_frames_are_kept_by_default():
    black = torch.zeros(3, 8, 8, dtype=torch.uint8)
    assert kept([black, black, black]) == ([0, 1, 2], {})


def test_black_frames():
    dark, bright = noise(high=20), noise()
    spot = dark.clone()
    spot[:, :5, :12] = 255  # 60 of 2,400 pixels: more than two of a hundred
    assert kept([dark, bright, spot, dark], black=True) == ([1, 2], {"black": 2})


def test_the_share_of_a_black_frame():
    gray = torch.zeros(10, 10)
    gray.view(-1)[:2] = 255
    assert is_black(gray)
    gray.view(-1)[:3] = 255
    assert not is_black(gray)
    assert is_black(torch.full((4, 4), 25.0))
    assert not is_black(torch.full((4, 4), 26.0))


def test_sharpness_is_the_variance_of_the_laplacian():
    gray = noise()[0].float()
    expected = laplace(gray.numpy())[1:-1, 1:-1].var()
    assert sharpness(gray) == pytest.approx(expected, rel=1e-4)
    assert sharpness(torch.zeros(2, 9)) == 0.0


def test_blurred_frames():
    sharp = noise()
    blurred = torch.nn.functional.avg_pool2d(sharp.float(), 9, stride=1, padding=4).byte()
    assert kept([sharp, blurred], min_sharpness=200) == ([0], {"blurred": 1})


def test_frames_like_the_last_one_that_was_kept():
    """Slow change adds up: it is the last kept frame that counts, not the one before."""
    frames = [torch.full((3, 16, 16), 100 + level, dtype=torch.uint8) for level in (0, 2, 4, 6, 6)]
    assert kept(frames, min_change=3.5) == ([0, 2], {"unchanged": 3})


def test_small_pictures_and_odd_sizes():
    pictures = [noise(seed, size=(1, 7)) for seed in range(2)]
    times, _ = kept(pictures, min_change=0.5)
    assert times == [0, 1]
    assert np.isfinite(sharpness(pictures[0][0].float()))
