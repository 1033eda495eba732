import sys

import numpy as np
import pytest
from explore_features import random_features, unit
from sklearn.decomposition import PCA

from vidmoco.errors import ConfigError
from vidmoco.visualize.layout import layout_2d, principal_components, require_tsne, snap_to_grid


def test_pca_is_scikit_learns_up_to_signs():
    features = random_features(40) * np.array([5, 3, 2, 1, 1, 1], np.float32)
    points = layout_2d(features, kind="pca")
    theirs = PCA(2).fit_transform(features)
    np.testing.assert_allclose(np.abs(points), np.abs(theirs), atol=1e-4)
    _, axes = principal_components(features, 3)
    assert (axes[np.arange(3), np.abs(axes).argmax(axis=1)] > 0).all()


def test_more_components_than_numbers_are_zero():
    _, axes = principal_components(random_features(9, dim=2), 3)
    assert axes.shape == (3, 2) and not axes[2].any()


def test_tsne_keeps_groups_apart_and_is_repeatable():
    groups = [random_features(20, seed=n) * 0.1 + 3 * np.eye(6)[n] for n in range(2)]
    features = unit(np.concatenate(groups)).astype(np.float32)
    points = layout_2d(features, kind="tsne", seed=3)
    np.testing.assert_array_equal(points, layout_2d(features, kind="tsne", seed=3))
    distance = np.linalg.norm(points[:, None] - points, axis=2) + 1e9 * np.eye(40)
    assert ((distance.argmin(axis=1) < 20) == (np.arange(40) < 20)).all()
    assert not np.array_equal(points, layout_2d(features, kind="tsne", seed=4))


@pytest.mark.parametrize("num", [1, 3, 8])
@pytest.mark.parametrize("kind", ["pca", "tsne"])
def test_few_frames_and_equal_frames_have_places(num, kind):
    for features in (random_features(num), np.ones((num, 6), np.float32)):
        assert np.isfinite(layout_2d(features, kind=kind)).all()


def test_tsne_says_what_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    with pytest.raises(ConfigError, match=r"pip install 'vidmoco\[eval\]', or give --layout pca"):
        require_tsne()
    layout_2d(random_features(9), kind="pca")


def test_each_cell_of_the_grid_has_one_point_at_most_a_cell_away():
    points = np.random.default_rng(0).standard_normal((300, 2))
    which, cells = snap_to_grid(points, columns=12, rows=9)
    assert len({tuple(cell) for cell in cells.tolist()}) == len(set(which.tolist())) == len(which)
    low, high = points.min(axis=0), points.max(axis=0)
    places = (points[which] - low) / (high - low)
    own = np.floor(np.stack([places[:, 0], 1 - places[:, 1]], axis=1) * [12, 9]).clip(0, [11, 8])
    assert np.abs(own - cells).max() == 1
    # A cell that points are in is not empty.
    every = (points - low) / (high - low)
    every = np.floor(np.stack([every[:, 0], 1 - every[:, 1]], axis=1) * [12, 9]).clip(0, [11, 8])
    assert {tuple(c) for c in every.astype(int).tolist()} <= {tuple(c) for c in cells.tolist()}


def test_up_is_up_and_points_with_room_are_all_drawn():
    points = np.array([[0.0, 0.0], [1.0, 1.0], [1.0, 0.999], [0.0, 1.0]])
    which, cells = snap_to_grid(points, columns=5, rows=4)
    place = dict(zip(which.tolist(), map(tuple, cells.tolist()), strict=True))
    assert place[0] == (0, 3) and place[3] == (0, 0)
    assert {place[1], place[2]} < {(4, 0), (3, 0), (4, 1), (3, 1)}


def test_rounding_is_not_stretched_over_the_grid():
    line = np.stack([np.arange(5.0), 1e-9 * np.arange(5.0)], axis=1)
    _, cells = snap_to_grid(line, columns=9, rows=7)
    assert set(cells[:, 1].tolist()) == {3}
    _, cells = snap_to_grid(np.zeros((1, 2)), columns=3, rows=3)
    assert cells.tolist() == [[1, 1]]
