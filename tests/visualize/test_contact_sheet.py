import dataclasses

import numpy as np
import torch

from vidmoco.visualize.change import Change
from vidmoco.visualize.contact_sheet import (
    Sample,
    ShownPair,
    count_gaps,
    describe_gaps,
    draw_sheet,
    gaps_of,
)

BLUE, GREY = (26, 95, 180), (180, 186, 194)


NO_CHANGE = Change(np.zeros(1, np.float32), np.ones(1, np.float32))


def pair_of(*, key="a.mp4", aspect_ratio=1.5, size=32, level=200):
    return ShownPair(
        key=key,
        aspect_ratio=aspect_ratio,
        pts_seconds=(1.0, 0.25),
        frames=torch.full((2, 3, 48, 72), level, dtype=torch.uint8),
        views=torch.zeros(2, 3, size, size),
    )


def sample_of(*pairs, asked=(0.1, 0.2), achieved=(0.1, 0.0)):
    return Sample(list(pairs), np.array(asked), np.array(achieved), {}, NO_CHANGE)


def pixels(sample, lines=("A line.",)):
    return np.asarray(draw_sheet(sample, list(lines)))


def columns_of(image, colour):
    return np.flatnonzero((image == np.array(colour)).all(axis=2).any(axis=0))


def test_gaps_in_words():
    asked, achieved = describe_gaps(
        sample_of(pair_of(), asked=(0.1, 0.3, 0.8), achieved=(0.0, 0.5, 0.0, 1.0))
    )
    assert asked == "Gap asked, 3 pairs: min 0.100, median 0.300, max 0.800 s"
    assert achieved == (
        "Gap achieved, 4 pairs: min 0.000, median 0.250, max 1.000 s; the same frame twice: 50.0%"
    )


def test_bars():
    gaps = np.array([0.0, 0.05, 0.1, 0.3 - 0.1, 0.39, 5.0])
    assert count_gaps(gaps, width=0.1, num_bars=4).tolist() == [2, 1, 1, 2]


def test_rows_make_it_higher_and_not_wider():
    one = pixels(sample_of(pair_of()))
    three = pixels(sample_of(pair_of(), pair_of(key="b" * 500), pair_of(key="ü\n\x1b[31m")))
    assert one.shape[1] == three.shape[1]
    assert three.shape[0] > one.shape[0] + 300


def test_frames_have_their_true_shape():
    """Grey levels that nothing else on the sheet has; a view is drawn as a square."""
    for aspect_ratio, width, height in [(1.5, 192, 128), (0.5, 64, 128), (4.0, 256, 64)]:
        image = pixels(sample_of(pair_of(aspect_ratio=aspect_ratio, level=137)))
        here = (image == 137).all(axis=2)
        rows = np.flatnonzero(here.any(axis=1))
        columns = np.flatnonzero(here.any(axis=0))
        assert rows[-1] - rows[0] + 1 == height
        assert len(columns) == 2 * width


def test_the_histogram_shows_both():
    image = pixels(sample_of(pair_of(), asked=(0.0, 1.0), achieved=(1.0, 1.0)))
    asked, achieved = columns_of(image[400:], GREY), columns_of(image[400:], BLUE)
    assert asked.min() < 110 < achieved[achieved > 40].min()  # the legend is at the left
    empty = pixels(sample_of(pair_of(), asked=(0.0,), achieved=(0.0,)))
    assert empty.shape == image.shape


def test_views_are_shown_as_they_are_seen():
    mean = pixels(sample_of(pair_of()))
    assert (mean == np.array([123, 116, 103])).all(axis=2).any() or (
        mean == np.array([124, 116, 104])
    ).all(axis=2).any()  # zero is ImageNet's mean colour
    white = dataclasses.replace(pair_of(), views=torch.full((2, 3, 32, 32), 9.0))
    assert (pixels(sample_of(white)) == 255).mean() > (mean == 255).mean()


def test_four_frames_are_shown_with_all_their_views():
    pair = ShownPair(
        key="a.mp4",
        aspect_ratio=1.5,
        pts_seconds=(1.0, 0.25, 1.5, 1.0),
        frames=torch.full((4, 3, 48, 72), 137, dtype=torch.uint8),
        views=torch.zeros(4, 3, 32, 32),
    )
    assert pair.apart == "within 1.250 s"
    assert pair.view_names == ["query view", "key view 1", "key view 2", "key view 3"]
    assert len(columns_of(pixels(sample_of(pair)), (137,) * 3)) == 4 * 192
    assert pair_of().apart == "0.750 s apart"
    assert dataclasses.replace(pair, pts_seconds=(1.0,) * 4).apart == "the same frame"


def test_a_gap_is_between_the_first_frame_and_another():
    times = np.array([[1.0, 0.25, 1.5], [0, 0, 3]])
    assert gaps_of(times, 3).tolist() == [0.75, 0.5, 0, 3]
    assert gaps_of(times, 5).tolist() == [0.75, 0.5, 0, 0.75, 0, 3, 0, 0]  # view 3 shows frame 0


def test_images_have_no_gaps():
    pair = pair_of(level=137)
    sheet = sample_of(pair, asked=(), achieved=())
    assert describe_gaps(sheet) == []
    assert pixels(sheet).shape[0] < pixels(sample_of(pair)).shape[0] - 150
