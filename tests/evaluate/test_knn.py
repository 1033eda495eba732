import numpy as np
import pytest
import torch
from reference.knn import weighted_knn_loop
from sklearn.neighbors import KNeighborsClassifier

from vidmoco.evaluate import knn
from vidmoco.evaluate.knn import knn_predictions


def clusters(n, *, classes, dim, spread, seed):
    """Features around one centre a class, and their classes."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, dim, generator=torch.Generator().manual_seed(99))
    labels = torch.arange(n) % classes
    return centres[labels] + spread * torch.randn(n, dim, generator=generator), labels


TRAIN, LABELS = clusters(120, classes=4, dim=6, spread=1.5, seed=0)
QUERIES, TRUTH = clusters(50, classes=4, dim=6, spread=1.5, seed=1)


def weighted_knn(train, labels, queries, *, k, num_classes, tau):
    """The scores of each k."""
    return {
        one: knn_predictions(
            train, labels, queries, k=k, tau=[tau], num_classes=num_classes, scores_of=(tau, one)
        )[1]
        for one in k
    }


def predictions(scores):
    return {k: s.argmax(dim=1) for k, s in scores.items()}


@pytest.mark.parametrize("tau", [0.07, 0.5])
def test_equals_the_slow_loop(tau):
    scores = weighted_knn(TRAIN, LABELS, QUERIES, k=(1, 5, 40), num_classes=4, tau=tau)
    for k, got in scores.items():
        loop = weighted_knn_loop(
            TRAIN.tolist(), LABELS.tolist(), QUERIES.tolist(), k=k, num_classes=4, tau=tau
        )
        expected = torch.tensor(loop, dtype=torch.float64)
        # Ours has the factor exp(-s_max / tau) of each query.
        expected = expected / expected.sum(dim=1, keepdim=True)
        shares = got / got.sum(dim=1, keepdim=True)
        assert torch.allclose(shares.double(), expected, atol=1e-5)


@pytest.mark.parametrize("k", [1, 20])
def test_equals_scikit_learn(k):
    # On unit vectors scikit-learn's Euclidean distance d gives the cosine 1 - d^2 / 2.
    classifier = KNeighborsClassifier(
        n_neighbors=k, weights=lambda d: np.exp((1 - d**2 / 2) / 0.07)
    )
    unit = torch.nn.functional.normalize
    classifier.fit(unit(TRAIN, dim=1).numpy(), LABELS.numpy())
    expected = classifier.predict(unit(QUERIES, dim=1).numpy())
    got = weighted_knn(TRAIN, LABELS, QUERIES, k=[k], num_classes=4, tau=0.07)
    assert predictions(got)[k].tolist() == expected.tolist()


def test_weights_matter():
    # Two far neighbours of class 1 against one near of class 0.
    train = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.8, -0.6]])
    labels = torch.tensor([0, 1, 1])
    query = torch.tensor([[5.0, 0.0]])
    for tau, expected in ((0.05, 0), (1.0, 1)):
        scores = weighted_knn(train, labels, query, k=[3], num_classes=2, tau=tau)
        assert int(scores[3].argmax()) == expected


def test_any_chunk_and_any_other_k_give_the_same(monkeypatch):
    whole = weighted_knn(TRAIN, LABELS, QUERIES, k=(3, 17), num_classes=4, tau=0.07)
    for chunk in (1, 7, 50, 1000):
        monkeypatch.setattr(knn, "_SIMILARITIES_AT_ONCE", chunk * len(TRAIN))
        parts = weighted_knn(TRAIN, LABELS, QUERIES, k=[17], num_classes=4, tau=0.07)
        assert torch.allclose(parts[17], whole[17], rtol=1e-4)


@pytest.mark.parametrize("at_once", [1000, 64 * 2**20])
def test_predictions_are_those_of_the_scores(monkeypatch, at_once):
    monkeypatch.setattr(knn, "_SIMILARITIES_AT_ONCE", at_once)
    k, tau = (1, 5, 40, 5000), (0.07, 0.5)
    found, kept = knn_predictions(
        TRAIN, LABELS, QUERIES, k=k, tau=tau, num_classes=4, scores_of=(0.5, 5)
    )
    assert list(found) == [(t, wanted) for t in tau for wanted in k]
    for t in tau:
        scores = weighted_knn(TRAIN, LABELS, QUERIES, k=k, num_classes=4, tau=t)
        for wanted in k:
            assert torch.equal(found[t, wanted], scores[wanted].argmax(dim=1))
        if t == 0.5:
            assert torch.allclose(kept, scores[5], rtol=1e-4)
    _, none = knn_predictions(TRAIN, LABELS, QUERIES, k=k, tau=tau, num_classes=4)
    assert none is None


def test_the_scores_held_at_once_are_bounded(monkeypatch):
    monkeypatch.setattr(knn, "_SIMILARITIES_AT_ONCE", 2000)
    sizes, votes = [], knn._votes

    def spy(*arguments):
        sizes.append(tuple(votes(*arguments).shape))
        return votes(*arguments)

    monkeypatch.setattr(knn, "_votes", spy)
    knn_predictions(TRAIN, LABELS, QUERIES, k=[1], tau=[0.07], num_classes=400)
    assert sizes == 10 * [(5, 400)]


def test_more_neighbours_than_the_bank_are_the_whole_bank():
    scores = weighted_knn(TRAIN, LABELS, QUERIES, k=(120, 5000), num_classes=4, tau=0.07)
    assert torch.equal(scores[120], scores[5000])


def test_a_tiny_tau_does_not_overflow():
    scores = weighted_knn(TRAIN, LABELS, QUERIES, k=[200], num_classes=4, tau=1e-4)
    assert torch.isfinite(scores[200]).all()
    nearest = weighted_knn(TRAIN, LABELS, QUERIES, k=[1], num_classes=4, tau=0.07)
    assert torch.equal(scores[200].argmax(dim=1), nearest[1].argmax(dim=1))


def test_the_length_of_features_does_not_matter():
    factors = torch.linspace(0.1, 10, 120)[:, None]
    a = weighted_knn(TRAIN, LABELS, QUERIES, k=[20], num_classes=4, tau=0.07)
    b = weighted_knn(TRAIN * factors, LABELS, QUERIES * 3, k=[20], num_classes=4, tau=0.07)
    assert torch.allclose(a[20], b[20], rtol=1e-3)


def test_clusters_are_learnt_and_shuffled_labels_are_chance():
    train, labels = clusters(2000, classes=4, dim=6, spread=0.2, seed=2)
    queries, truth = clusters(2000, classes=4, dim=6, spread=0.2, seed=3)
    scores = weighted_knn(train, labels, queries, k=[20], num_classes=4, tau=0.07)
    assert (predictions(scores)[20] == truth).float().mean() > 0.98
    shuffled = labels[torch.randperm(2000, generator=torch.Generator().manual_seed(0))]
    scores = weighted_knn(train, shuffled, queries, k=[20], num_classes=4, tau=0.07)
    # Chance 0.25; five standard deviations of 2,000 queries.
    assert abs((predictions(scores)[20] == truth).float().mean() - 0.25) < 0.05
