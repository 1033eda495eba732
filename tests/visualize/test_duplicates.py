import numpy as np
import pytest
from explore_features import smooth, unit

from vidmoco.visualize import duplicates as duplicates_module
from vidmoco.visualize.duplicates import MOST_PAIRS, find_duplicates


def find(*videos, **options):
    return find_all(*videos, **options).pairs


def find_all(*videos, least=0.95, apart=5.0, most=MOST_PAIRS):
    features = unit(np.concatenate(videos)).astype(np.float32)
    numbers = np.repeat(np.arange(len(videos)), [len(video) for video in videos])
    times = np.concatenate([np.arange(len(video), dtype=np.float64) for video in videos])
    return find_duplicates(
        features, videos=numbers, times=times, least=least, apart=apart, most=most
    )


def slowly(videos, *, least, apart):
    """Pairs of (video, video) -> (frames of the first, best cosine), by the words of the rule."""
    rows = [(n, t, x) for n, video in enumerate(videos) for t, x in enumerate(unit(video))]
    frames, best = {}, {}
    for i, (a, s, x) in enumerate(rows):
        for b, t, y in rows[i + 1 :]:
            if x @ y < least:
                continue
            if a == b:
                between = unit(videos[a])[s + 1 : t]
                came_back = any(1 - x @ z > 2 * (1 - least) for z in between)
                if t - s < apart or not came_back:
                    continue
            frames.setdefault((a, b), set()).add(i)
            best[a, b] = max(best.get((a, b), -1), x @ y)
    return {pair: (len(frames[pair]), pytest.approx(best[pair], abs=1e-5)) for pair in best}


@pytest.mark.parametrize("at_once", [3, 512])
def test_against_a_slow_restatement(monkeypatch, at_once):
    monkeypatch.setattr(duplicates_module, "_ROWS_AT_ONCE", at_once)
    generator = np.random.default_rng(1)
    seen = set()
    for _ in range(10):
        videos = [generator.standard_normal((n, 3)) for n in (12, 5, 1, 9)]
        found = find(*videos, least=0.9, apart=3)
        as_said = slowly(videos, least=0.9, apart=3)
        assert {pair.videos: (pair.num_frames, pair.similarity) for pair in found} == as_said
        features = unit(np.concatenate(videos))
        for pair in found:
            assert features[pair.best[0]] @ features[pair.best[1]] == pytest.approx(pair.similarity)
        assert found == sorted(found, key=lambda pair: (pair.is_within, -pair.similarity))
        seen |= set(as_said)
    assert (0, 0) in seen and (0, 1) in seen  # else nothing has been compared


@pytest.mark.parametrize("at_once", [3, 512])
@pytest.mark.parametrize("most", [1, 4, 7])
@pytest.mark.parametrize("is_alike", [False, True])
def test_only_the_most_similar_pairs_are_kept(monkeypatch, at_once, most, is_alike):
    monkeypatch.setattr(duplicates_module, "_ROWS_AT_ONCE", at_once)
    generator = np.random.default_rng(2)
    videos = [
        np.ones((n, 3)) if is_alike else generator.standard_normal((n, 3))
        for n in (3, 7, 1, 4, 5, 2, 1, 9)
    ]
    all_of_them = find_all(*videos, least=0.5)
    assert all_of_them.num_found == len(all_of_them.pairs) > 20
    assert all_of_them.num_within == sum(pair.is_within for pair in all_of_them.pairs)
    found = find_all(*videos, least=0.5, most=most)
    assert found.num_found == all_of_them.num_found
    assert found.pairs == all_of_them.pairs[:most]


def test_a_planted_duplicate_is_found():
    one, other = smooth(20, step=0.05), smooth(20, step=0.05)[:, [2, 3, 4, 5, 0, 1]]
    other[19] = one[13]
    (pair,) = find(one, other)
    assert (pair.videos, pair.best) == ((0, 1), (13, 39))
    assert pair.num_frames == 13  # rows whose angle to row 13 has a cosine of 0.95 or more
    assert find(one, smooth(20, step=0.05)[:, [2, 3, 4, 5, 0, 1]]) == []


def test_a_video_that_goes_and_comes_back():
    away = np.roll(smooth(6), 3, axis=1)
    still = np.tile(smooth(1), (30, 1))
    assert find(still) == []
    assert find(smooth(60, step=0.02)) == []
    (pair,) = find(np.concatenate([smooth(3), away, smooth(3)]))
    assert pair.videos == (0, 0)
    assert pair.best[1] - pair.best[0] >= 5
    assert find(np.concatenate([smooth(3), away, smooth(3)]), apart=60) == []


def test_a_video_with_itself_is_no_pair_of_videos():
    away = np.roll(smooth(6), 3, axis=1)
    back = np.concatenate([smooth(3), away, smooth(3)])
    other = smooth(2) + 0.05
    found = find_all(back, other, least=0.9, most=1)
    (pair,) = found.pairs  # less similar, and first
    assert (pair.videos, pair.is_within) == ((0, 1), False)
    assert (found.num_found, found.num_within) == (2, 1)
