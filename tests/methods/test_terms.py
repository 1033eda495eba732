import pytest
import torch

from vidmoco.methods.terms import by_query, count_large, mean_of, pairs_of_views, scale_loss


def test_which_views_are_contrasted():
    assert pairs_of_views(2, symmetric=False) == [(0, 1)]
    assert pairs_of_views(2, symmetric=True) == [(0, 1), (1, 0)]
    # SwAV: each small crop against both large ones
    assert pairs_of_views(4, symmetric=True) == [(0, 1), (1, 0), (2, 0), (2, 1), (3, 0), (3, 1)]
    assert pairs_of_views(3, symmetric=False) == [(0, 1), (2, 1)]


def test_several_positives():
    assert pairs_of_views(3, symmetric=False, large_views=3) == [(0, 1), (0, 2)]
    each = [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]
    assert pairs_of_views(3, symmetric=True, large_views=3) == each
    small = [(3, 0), (3, 1), (3, 2)]
    assert pairs_of_views(4, symmetric=True, large_views=3) == each + small


def test_mean_of_losses_and_of_each_diagnostic():
    terms = [(torch.tensor(1.0), {"a": torch.tensor(2.0)})]
    terms.append((torch.tensor(3.0), {"a": torch.tensor(6.0)}))
    loss, stats = mean_of(iter(terms))
    assert (loss, stats) == (2, {"a": 4})


def test_all_terms_count_alike():
    terms = [(torch.tensor(1.0), {"a": torch.tensor(2.0)})]
    terms.append((torch.tensor(5.0), {"a": torch.tensor(10.0)}))
    loss, stats = mean_of(terms, counts=[3, 1])  # three terms of 1, one of 5
    assert (loss, stats) == (2, {"a": 4})


def test_the_keys_of_each_query():
    assert by_query([(0, 1), (0, 2), (2, 1)]) == {0: [1, 2], 2: [1]}


def test_chance_grows_with_the_loss():
    stats = {"top1": torch.tensor(50.0), "loss_minus_chance": torch.tensor(-1.0)}
    loss, scaled = scale_loss(3, torch.tensor(2.0), stats)
    assert (loss, scaled) == (6, {"top1": 50, "loss_minus_chance": -3})


def test_large_views_are_those_of_the_first_ones_size():
    views = [torch.zeros(2, 3, size, size) for size in (8, 8, 8, 6)]
    assert count_large(views, 0) == 3
    assert count_large(views, 2) == 2
    with pytest.raises(ValueError, match="There are 4 views, 5 of them of full size"):
        count_large(views, 5)
    with pytest.raises(ValueError, match="There are 1 views"):
        count_large(views[:1], 0)
