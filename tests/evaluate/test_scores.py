import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn import metrics

from vidmoco.evaluate.scores import (
    balanced_accuracy,
    confusion_matrix,
    interval,
    is_right,
    share_right,
    top_accuracy,
    video_scores,
)


def predictions(n=500, classes=7, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(n, classes, generator=generator),
        torch.randint(classes, (n,), generator=generator),
    )


@pytest.mark.parametrize("top", [1, 3, 6])
def test_accuracy_as_scikit_learn(top):
    scores, labels = predictions()
    expected = metrics.top_k_accuracy_score(labels, scores, k=top)
    assert top_accuracy(scores, labels, top=top) == pytest.approx(100 * expected)
    assert is_right(scores, labels, top=top).double().mean() == pytest.approx(expected)


def test_confusion_as_scikit_learn():
    scores, labels = predictions(n=40)
    expected = metrics.confusion_matrix(labels, scores.argmax(1), labels=range(7))
    assert confusion_matrix(scores.argmax(1), labels, num_classes=7).tolist() == expected.tolist()


def test_the_interval_holds_the_truth_as_often_as_it_says():
    generator = np.random.default_rng(1)
    hits = 0
    for seed in range(300):
        right = torch.from_numpy(generator.random(400) < 0.3)
        low, high = interval(right, seed=seed)
        hits += low <= 30 <= high
    assert 0.91 < hits / 300 < 0.985


@pytest.mark.parametrize(("hits", "count"), [(0, 30), (30, 30), (1, 30), (17, 40), (1, 1), (0, 1)])
def test_the_interval_is_wilsons(hits, count):
    right = torch.arange(count) < hits
    expected = binomtest(hits, count).proportion_ci(method="wilson")
    assert interval(right) == pytest.approx([100 * expected.low, 100 * expected.high], abs=1e-4)


@pytest.mark.parametrize("of_each", [0, 2, 4])
def test_groups_that_are_all_alike_are_as_many_samples(of_each):
    """Each draw of them gives the same accuracy, which is no reason to be certain."""
    right = torch.arange(40) % 4 < of_each
    expected = binomtest(10 * of_each // 4, 10).proportion_ci(method="wilson")
    found = interval(right, torch.arange(40) // 4)
    assert found == pytest.approx([100 * expected.low, 100 * expected.high], abs=1e-4)


def test_frames_of_one_video_are_one_sample():
    right = torch.tensor([True] * 12 + [False] * 28).repeat_interleave(25)
    groups = torch.arange(40).repeat_interleave(25)
    low, high = interval(right)
    wide_low, wide_high = interval(right, groups)
    expected = 1.96 * 100 * (0.3 * 0.7 / 40) ** 0.5
    assert (wide_high - wide_low) / 2 == pytest.approx(expected, rel=0.1)
    assert (wide_high - wide_low) / (high - low) == pytest.approx(5, rel=0.1)
    each = torch.arange(len(right))
    assert interval(right, each)[0] == pytest.approx(low, abs=0.5)


def test_videos_by_their_frames():
    # Video 0: two weak votes for class 1, one strong frame of class 0. Video 1: votes are even.
    scores = torch.tensor(
        [[0.9, 0.1, 0.0], [0.4, 0.6, 0.0], [0.45, 0.55, 0.0], [0.6, 0.4, 0.0], [0.1, 0.9, 0.0]]
    )
    videos = torch.tensor([0, 0, 0, 1, 1])
    mean, most, vote = (video_scores(scores, videos, how=how) for how in ("mean", "max", "vote"))
    assert mean[0].tolist() == pytest.approx([1.75 / 3, 1.25 / 3, 0])
    assert most.tolist() == [pytest.approx([0.9, 0.6, 0]), pytest.approx([0.6, 0.9, 0])]
    assert [found.argmax(1).tolist() for found in (mean, most, vote)] == [[0, 1], [0, 1], [1, 1]]
    # However sure 8 frames are, 9 others have more votes.
    sure = torch.tensor([[1.0, 0.0]] * 8 + [[0.49, 0.51]] * 9)
    assert video_scores(sure, torch.zeros(17, dtype=torch.int64), how="vote").argmax() == 1
    # The order of the frames does not matter.
    order = torch.tensor([4, 0, 3, 2, 1])
    again = video_scores(scores[order], videos[order], how="mean")
    assert torch.allclose(mean, again)


@given(st.integers(0, 1000))
@settings(deadline=None, max_examples=30)
def test_a_video_of_one_frame_is_its_frame(seed):
    scores, _ = predictions(n=12, seed=seed)
    probabilities = scores.softmax(1)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(seed))
    for how in ("mean", "max", "vote"):
        found = video_scores(probabilities, order, how=how)
        assert found.argmax(1)[order].tolist() == probabilities.argmax(1).tolist()


def test_one_group_says_nothing_of_others():
    right = torch.tensor([True, False, True])
    assert interval(right, torch.zeros(3, dtype=torch.int64)) == [0.0, 100.0]


def test_balanced_accuracy_as_scikit_learn():
    scores, labels = predictions(n=90)
    labels[labels == 3] = 4  # a class without images
    expected = metrics.recall_score(
        labels, scores.argmax(1), labels=[0, 1, 2, 4, 5, 6], average="macro"
    )
    assert balanced_accuracy(is_right(scores, labels), labels) == pytest.approx(100 * expected)
    majority = torch.zeros(20, 2, dtype=torch.float64)
    majority[:, 0] = 1
    truth = torch.tensor([0] * 19 + [1])
    right = is_right(majority, truth)
    assert (share_right(right), balanced_accuracy(right, truth)) == (95.0, 50.0)
