import numpy as np
import pytest
from explore_features import feature_set, random_features, unit

from vidmoco.features import feature_set as feature_set_module
from vidmoco.visualize.neighbours import nearest_rows, similarities


def slowly(similarity, videos, times, *, top, per_video, min_gap):
    """The rule, a row at a time, over all rows from the most similar on."""
    taken = []
    for row in sorted(range(len(similarity)), key=lambda row: (-similarity[row], row)):
        mine = [other for other in taken if videos[other] == videos[row]]
        if per_video is not None and len(mine) >= per_video:
            continue
        if any(abs(times[other] - times[row]) < min_gap for other in mine):
            continue
        if len(taken) < top and np.isfinite(similarity[row]):
            taken.append(row)
    return taken


@pytest.mark.parametrize("per_video", [None, 1, 3])
@pytest.mark.parametrize("min_gap", [0.0, 1.0, 2.5])
def test_against_a_slow_restatement(per_video, min_gap):
    generator = np.random.default_rng(0)
    for top in (1, 5, 60):
        similarity = generator.standard_normal(50).round(1).astype(np.float32)  # with ties
        similarity[generator.integers(0, 50, 5)] = -np.inf
        videos, times = np.repeat(np.arange(5), 10), np.tile(np.arange(10) * 0.5, 5)
        rule = {"top": top, "per_video": per_video, "min_gap": min_gap}
        found = nearest_rows(similarity, videos=videos, times=times, **rule)
        assert found.tolist() == slowly(similarity, videos, times, **rule)


def test_similarities_are_cosines(tmp_path, monkeypatch):
    monkeypatch.setattr(feature_set_module, "ROWS_AT_ONCE", 4)
    videos = [random_features(9), random_features(5, seed=1)]
    queries = unit(random_features(3, seed=2)).astype(np.float32)
    found = similarities(feature_set(tmp_path, *videos), queries)
    np.testing.assert_allclose(found, queries @ unit(np.concatenate(videos)).T, atol=1e-6)
