import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from torch.nn import functional as F

from vidmoco.evaluate import linear
from vidmoco.evaluate.linear import (
    fit_logistic,
    grouped_part,
    grouped_shots,
    linear_probe,
    stratified_part,
)


def problem(n, *, seed, classes=5, dim=20, noise=2.0):
    """Correlated features of very different scales, one of them constant, and their classes."""
    generator = torch.Generator().manual_seed(seed)
    fixed = torch.Generator().manual_seed(99)
    centres = torch.randn(classes, dim, generator=fixed)
    mixing = torch.randn(dim, dim, generator=fixed)
    scale = torch.logspace(-3, 3, dim)
    labels = torch.randint(classes, (n,), generator=generator)
    features = centres[labels] + noise * torch.randn(n, dim, generator=generator)
    features = 5 + (features @ mixing) * scale
    return torch.cat([features, torch.full((n, 1), 7.0)], dim=1), labels


TRAIN, LABELS = problem(600, seed=0)
VAL, TRUTH = problem(400, seed=1)


def accuracy(scores, labels):
    return float((scores.argmax(dim=1) == labels).float().mean())


def objective(classifier, features, labels, decay):
    loss = F.cross_entropy(classifier(features), labels)
    return float(loss + decay / 2 * classifier.weight.square().sum())


@pytest.mark.parametrize("decay", [0.1, 1e-3])
def test_reaches_scikit_learns_optimum(decay):
    (ours,) = fit_logistic(TRAIN, LABELS, num_classes=5, decays=[decay])
    rows = ((TRAIN - ours.mean) / ours.std).double().numpy()
    theirs = LogisticRegression(C=1 / (decay * len(TRAIN)), tol=1e-8, max_iter=5000)
    theirs.fit(rows, LABELS.numpy())
    # scikit-learn: C * sum of losses + ||w||^2 / 2.
    logits = torch.from_numpy(theirs.decision_function(rows))
    best = F.cross_entropy(logits, LABELS) + decay / 2 * float((theirs.coef_**2).sum())
    assert objective(ours, TRAIN, LABELS, decay) == pytest.approx(float(best), rel=3e-4)
    val_rows = ((VAL - ours.mean) / ours.std).double().numpy()
    expected = torch.from_numpy(theirs.decision_function(val_rows))
    assert abs(accuracy(ours(VAL), TRUTH) - accuracy(expected, TRUTH)) <= 0.01


def test_reaches_the_optimum_with_many_classes():
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(3000) % 1000
    centres = torch.randn(1000, 16, generator=generator)
    features = (centres[labels] + 1.6 * torch.randn(3000, 16, generator=generator)).relu()
    (ours,) = fit_logistic(features, labels, num_classes=1000, decays=[0.01])
    rows = ((features - ours.mean) / ours.std).double()
    theirs = LogisticRegression(C=1 / (0.01 * 3000), tol=1e-7, max_iter=500)
    theirs.fit(rows.numpy(), labels.numpy())
    weights, biases = (torch.from_numpy(found) for found in (theirs.coef_, theirs.intercept_))
    found, best = (
        float(F.cross_entropy(rows @ w.T + b, labels) + 0.01 / 2 * w.square().sum())
        for w, b in ((ours.weight.double(), ours.bias.double()), (weights, biases))
    )
    assert found == pytest.approx(best, abs=1e-6)


def test_a_start_from_another_decay_changes_nothing_but_time():
    (cold,) = fit_logistic(TRAIN, LABELS, num_classes=5, decays=[0.01])
    *_, warm = fit_logistic(TRAIN, LABELS, num_classes=5, decays=[1.0, 0.1, 0.01])
    values = [objective(classifier, TRAIN, LABELS, 0.01) for classifier in (cold, warm)]
    assert values[0] == pytest.approx(values[1], rel=3e-4)


def test_rows_in_several_passes_are_one_objective(monkeypatch):
    (whole,) = fit_logistic(TRAIN, LABELS, num_classes=5, decays=[0.01])
    monkeypatch.setattr(linear, "_ROWS_AT_ONCE", 97)
    (parts,) = fit_logistic(TRAIN, LABELS, num_classes=5, decays=[0.01])
    assert objective(parts, TRAIN, LABELS, 0.01) == pytest.approx(
        objective(whole, TRAIN, LABELS, 0.01), rel=3e-4
    )
    assert (parts(VAL).argmax(1) == whole(VAL).argmax(1)).float().mean() > 0.99


def test_more_features_than_rows():
    features = torch.randn(30, 100, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(30) % 3
    (classifier,) = fit_logistic(features, labels, num_classes=3, decays=[1e-3])
    assert accuracy(classifier(features), labels) == 1.0


def test_the_thread_count_is_given_back():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    list(fit_logistic(TRAIN, LABELS, num_classes=5, decays=[1.0]))
    after = torch.get_num_threads()
    torch.set_num_threads(before)
    assert after == 2


def test_the_decay_is_the_best_on_the_held_out_part():
    probe = linear_probe(TRAIN, LABELS, VAL, num_classes=5)
    assert set(probe.held_out_accuracy) == set(linear.DECAYS)
    best = max(probe.held_out_accuracy.values())
    assert probe.held_out_accuracy[probe.decay] == best
    assert probe.decay == max(d for d, a in probe.held_out_accuracy.items() if a == best)
    # Then fitted again on all of train with that decay.
    (again,) = fit_logistic(TRAIN, LABELS, num_classes=5, decays=[probe.decay])
    assert torch.equal(probe.scores, again(VAL))


def test_each_fit_is_told():
    features, labels = problem(100, seed=0)
    told = []
    linear_probe(features, labels, features, num_classes=5, decays=(0.1, 1.0), on_fit=told.append)
    assert told[:2] == ["1 of 2 decays", "2 of 2 decays"]
    assert told[2:] in (["all of train, decay 1"], ["all of train, decay 0.1"])


def test_val_has_no_part_in_the_choice():
    a = linear_probe(TRAIN, LABELS, VAL, num_classes=5)
    b = linear_probe(TRAIN, LABELS, torch.zeros_like(VAL), num_classes=5)
    assert (a.decay, a.held_out_accuracy) == (b.decay, b.held_out_accuracy)


def test_the_held_out_part_has_no_part_in_the_fits_it_judges(monkeypatch):
    seen = []

    def spy(features, labels, **options):
        seen.append(len(features))
        return fit_logistic(features, labels, **options)

    monkeypatch.setattr(linear, "fit_logistic", spy)
    linear_probe(TRAIN, LABELS, VAL, num_classes=5)
    assert seen == [len(TRAIN) - len(stratified_part(LABELS, share=0.1, seed=0)), len(TRAIN)]


def test_noise_wants_a_strong_decay_and_little_noise_a_weak_one():
    noisy = linear_probe(*problem(300, seed=2, noise=12.0), VAL, num_classes=5)
    clean = linear_probe(*problem(300, seed=2, noise=0.5), VAL, num_classes=5)
    assert noisy.decay > clean.decay or clean.held_out_accuracy[noisy.decay] == 1.0


def test_shuffled_labels_are_chance():
    shuffled = LABELS[torch.randperm(600, generator=torch.Generator().manual_seed(0))]
    probe = linear_probe(TRAIN, shuffled, VAL, num_classes=5)
    # Chance 0.2; five standard deviations of 400 images.
    assert accuracy(probe.scores, TRUTH) < 0.3
    assert accuracy(linear_probe(TRAIN, LABELS, VAL, num_classes=5).scores, TRUTH) > 0.5


def test_stratified_part_takes_a_share_of_each_class():
    labels = torch.tensor([0] * 50 + [1] * 20 + [2] * 3 + [3])
    part = stratified_part(labels, share=0.1, seed=0)
    assert labels[part].bincount(minlength=4).tolist() == [5, 2, 1, 0]
    assert part.tolist() == sorted(set(part.tolist()))
    assert part.tolist() == stratified_part(labels, share=0.1, seed=0).tolist()
    assert part.tolist() != stratified_part(labels, share=0.1, seed=1).tolist()


def test_one_image_a_class_leaves_no_choice():
    features, labels = torch.eye(3), torch.arange(3)
    probe = linear_probe(features, labels, features, num_classes=3)
    assert probe.held_out_accuracy == {}
    assert probe.decay == sorted(linear.DECAYS)[len(linear.DECAYS) // 2]
    assert accuracy(probe.scores, labels) == 1.0


@given(st.integers(0, 200))
@settings(deadline=None, max_examples=50)
def test_whole_groups_are_held_out_and_no_class_is_lost(seed):
    generator = torch.Generator().manual_seed(seed)
    groups = torch.randint(12, (80,), generator=generator)
    labels = torch.randint(3, (12,), generator=generator)[groups]
    held_out = grouped_part(labels, groups, share=0.1, seed=seed)
    mask = torch.zeros(80, dtype=torch.bool)
    mask[held_out] = True
    assert not set(groups[mask].tolist()) & set(groups[~mask].tolist())
    assert set(labels[~mask].tolist()) == set(labels.tolist())
    assert torch.equal(held_out, grouped_part(labels, groups, share=0.1, seed=seed))


@pytest.mark.parametrize("seed", range(10))
def test_a_group_that_is_most_of_all_is_not_held_out(seed):
    groups = torch.cat([torch.zeros(700, dtype=torch.int64), 1 + torch.arange(300) // 10])
    held_out = grouped_part(torch.arange(1000) % 2, groups, share=0.1, seed=seed)
    assert len(held_out) == 100 and 0 not in groups[held_out]
    # Of two groups, each much more than a tenth, the smaller one is.
    groups = (torch.arange(1000) < 700).long()
    assert len(grouped_part(torch.arange(1000) % 2, groups, share=0.1, seed=seed)) == 300


@given(st.integers(0, 200), st.sampled_from([0.01, 0.3, 0.8]))
@settings(deadline=None, max_examples=50)
def test_shots_are_whole_groups(seed, share):
    generator = torch.Generator().manual_seed(seed)
    groups = torch.randint(20, (200,), generator=generator)
    labels = torch.randint(3, (20,), generator=generator)[groups]
    rows = grouped_shots(labels, groups, share=share, seed=seed)
    mask = torch.zeros(200, dtype=torch.bool)
    mask[rows] = True
    assert not set(groups[mask].tolist()) & set(groups[~mask].tolist())
    assert torch.equal(rows, grouped_shots(labels, groups, share=share, seed=seed))
    for label in labels.unique():
        of_class = labels == label
        sizes = groups[of_class].bincount()
        num_chosen = int(mask[of_class].sum())
        assert num_chosen >= 1
        is_one_group = num_chosen in sizes.tolist()
        assert is_one_group or abs(num_chosen - share * int(of_class.sum())) <= sizes.max() / 2


def test_groups_that_all_are_needed_are_not_held_out():
    rows = torch.tensor([0, 0, 1])
    assert len(grouped_part(rows, rows, share=0.5, seed=0)) == 0


def test_the_decay_is_not_chosen_by_what_is_known_by_heart():
    # Two videos a class, each a cloud of near-copies, and the class in no feature.
    generator = torch.Generator().manual_seed(0)
    groups = torch.arange(16).repeat_interleave(10)
    centres = torch.randn(16, 30, generator=generator)
    rows = centres[groups] + 0.01 * torch.randn(160, 30, generator=generator)
    labels = groups % 2
    by_frame, by_group = (
        linear_probe(rows, labels, rows, num_classes=2, groups=g) for g in (None, groups)
    )
    assert max(by_frame.held_out_accuracy.values()) == 1.0
    assert max(by_group.held_out_accuracy.values()) < 1.0
