from functools import partial

import pytest
import torch
from sklearn.linear_model import LogisticRegression

from vidmoco.evaluate.linear import grouped_shots, linear_probe, stratified_part
from vidmoco.evaluate.protocols import _few_shots, _have_one_class, _nested


def clouds(n, seed):
    """Points of four classes around centres of their own."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 4
    centres = torch.randn(4, 6, generator=torch.Generator().manual_seed(9))
    return centres[labels] + torch.randn(n, 6, generator=generator), labels


def test_few_shots_see_their_share_alone():
    (bank, labels), (queries, truth) = clouds(400, 0), clouds(200, 1)
    rows = stratified_part(labels, share=0.1, seed=5)
    assert len(rows) == 40
    expected = LogisticRegression(C=1 / (0.01 * 40), max_iter=1000).fit(bank[rows], labels[rows])
    few = partial(_few_shots, groups=None, share=0.1, seed=5)
    found, per_class = few(bank, labels, queries, truth)
    assert per_class == 10
    assert found == pytest.approx(100 * expected.score(queries, truth), abs=6)
    # What is not in the share plays no part.
    spoilt = labels.clone()
    others = torch.ones(400, dtype=torch.bool)
    others[rows] = False
    bank[others] = float("nan")
    assert few(bank, spoilt, queries, truth) == (found, 10)


def test_few_shots_choose_the_decay_on_whole_groups():
    """Four near-copies of each image: a copy that is held out says that no decay is best."""
    generator = torch.Generator().manual_seed(9)
    bank = torch.randn(20, 30, generator=generator).repeat_interleave(4, dim=0)
    bank += 0.01 * torch.randn(80, 30, generator=generator)
    labels, groups = (
        (torch.arange(20) % 2).repeat_interleave(4),
        torch.arange(20).repeat_interleave(4),
    )
    queries = torch.randn(500, 30, generator=generator)
    options = {"num_classes": 2, "seed": 0}
    rows = grouped_shots(labels, groups, share=0.8, seed=0)
    assert len(rows) == 64 and len(groups[rows].unique()) == 16
    truths = {}
    for name, part in (("groups", groups[rows]), ("none", None)):
        probe = linear_probe(bank[rows], labels[rows], queries, groups=part, **options)
        truths[name] = probe.scores.argmax(dim=1)
    few = partial(_few_shots, bank, labels, queries, groups=groups, share=0.8, seed=0)
    assert few(truths["groups"]) == (100, 32)
    assert few(truths["none"])[0] < 100
    assert (truths["groups"] != truths["none"]).any()


def test_a_class_of_one_image_is_a_shot_too():
    bank, labels = torch.eye(3), torch.arange(3)
    assert _few_shots(bank, labels, bank, labels, groups=None, share=0.01, seed=0) == (100, 1)


def test_nested():
    assert _nested({("a", "1"): 2, ("a", "2"): 3, ("b", "1"): 4}) == {
        "a": {"1": 2, "2": 3},
        "b": {"1": 4},
    }


def test_a_video_of_several_classes_has_no_class():
    videos = torch.tensor([0, 0, 1])
    assert _have_one_class(videos, torch.tensor([2, 2, 1]))
    assert not _have_one_class(videos, torch.tensor([2, 1, 1]))
