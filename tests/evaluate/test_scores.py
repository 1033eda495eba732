import numpy as np
import pytest
import torch
from sklearn import metrics

from vidmoco.evaluate.scores import confusion_matrix, interval, is_right, top_accuracy


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
    assert confusion_matrix(scores, labels).tolist() == expected.tolist()


def test_the_interval_holds_the_truth_as_often_as_it_says():
    generator = np.random.default_rng(1)
    hits = 0
    for seed in range(300):
        right = torch.from_numpy(generator.random(400) < 0.3)
        low, high = interval(right, seed=seed)
        hits += low <= 30 <= high
    assert 0.91 < hits / 300 < 0.985


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
