import numpy as np
import pytest
from explore_features import feature_set, random_features, smooth, unit

from vidmoco.features import feature_set as feature_set_module
from vidmoco.visualize.shots import find_shots, median_around, step_similarities


def shots_of(tmp_path, *videos):
    features = feature_set(tmp_path, *videos)
    return find_shots(features, step_similarities(features))


def test_steps_are_cosines_within_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(feature_set_module, "ROWS_AT_ONCE", 3)
    videos = [random_features(7), random_features(1, seed=1), random_features(6, seed=2)]
    steps = step_similarities(feature_set(tmp_path, *videos))
    every = unit(np.concatenate(videos))
    assert np.flatnonzero(np.isnan(steps)).tolist() == [0, 7, 8]
    for row in set(range(14)) - {0, 7, 8}:
        assert steps[row] == pytest.approx(every[row] @ every[row - 1], abs=1e-6)


def test_a_planted_cut_is_found_where_it_is(tmp_path):
    cut = np.concatenate([smooth(12), np.roll(smooth(9), 2, axis=1)])
    (shot,) = shots_of(tmp_path, smooth(15), cut)
    assert shot.row == 15 + 12
    assert shot.similarity == pytest.approx(0, abs=1e-6)
    assert shot.usual == pytest.approx(np.cos(0.1), abs=1e-6)
    assert shot.score == pytest.approx(1 / 0.025)


def test_nothing_is_found_where_there_is_no_cut(tmp_path):
    restless = random_features(40)  # each step is a jump
    pan = smooth(40, step=0.3)
    still = np.tile(smooth(1), (30, 1)) + 1e-3 * random_features(30)
    assert shots_of(tmp_path, smooth(40), restless, pan, still, smooth(1), random_features(4)) == []


def test_a_cut_between_still_pictures_is_found(tmp_path):
    slides = np.repeat(random_features(4), 10, axis=0)
    assert [shot.row for shot in shots_of(tmp_path, slides)] == [10, 20, 30]


def test_the_median_leaves_out_its_own_value():
    values = np.arange(30.0) ** 2
    found = median_around(values)
    for n in range(30):
        around = [values[k] for k in range(max(0, n - 8), min(30, n + 9)) if k != n]
        assert found[n] == np.median(around)
