"""The losses of the papers restated slowly: one query, one key at a time."""

import math
from itertools import combinations

import torch


def unit(v):
    return v / (v * v).sum().sqrt()


def cross_entropy(scores, label):
    """Minus the log of the softmax probability of one score."""
    total = sum(score.exp() for score in scores)
    return -(scores[label].exp() / total).log()


def in_batch(queries, keys, tau, ids=None):
    """MoCo v3's ctr without its factor: query i against all keys, key i is right.

    Keys of the same id as query i, other than key i, are left out.
    """
    ids = range(len(queries)) if ids is None else ids
    losses = []
    for i, q in enumerate(queries):
        left = [j for j in range(len(keys)) if j == i or ids[j] != ids[i]]
        losses.append(cross_entropy([unit(q) @ unit(keys[j]) / tau for j in left], left.index(i)))
    return sum(losses) / len(losses)


def moco_v3(q1, q2, k1, k2, tau, ids=None):
    """Algorithm 1: 2 tau (ctr(q1, k2) + ctr(q2, k1))."""
    return 2 * tau * (in_batch(q1, k2, tau, ids) + in_batch(q2, k1, tau, ids))


def nt_xent(first, second, tau, ids=None):
    """SimCLR's algorithm 1 with the views of image k at 2k - 1 and 2k.

    Views of the same id as image k, other than its own, are left out.
    """
    ids = range(len(first)) if ids is None else ids
    z = [unit(v) for pair in zip(first, second, strict=True) for v in pair]
    total = 0.0
    for i in range(len(z)):
        j = i + 1 if i % 2 == 0 else i - 1
        left = [k for k in range(len(z)) if k == j or ids[k // 2] != ids[i // 2]]
        others = sum((z[i] @ z[k] / tau).exp() for k in left)
        total = total - ((z[i] @ z[j] / tau).exp() / others).log()
    return total / len(z)


def several(query, keys, negatives, tau):
    """One query and its several positives: each against itself and the negatives; the mean."""
    others = [unit(query) @ unit(n) / tau for n in negatives]
    own = [unit(query) @ unit(k) / tau for k in keys]
    return sum(cross_entropy([one, *others], 0) for one in own) / len(own)


def patches_of(view, m):
    """Fast-MoCo's divide: m x m pieces of each view, as a list."""
    size = view.shape[-1] // m
    return [
        view[:, :, i * size : (i + 1) * size, j * size : (j + 1) * size]
        for i in range(m)
        for j in range(m)
    ]


def combined(features, n):
    """Fast-MoCo's combine: the mean of every n of the patches' features."""
    return [sum(subset) / n for subset in combinations(features, n)]


def nce(queries, positives, noise, *, tau, num_instances, constant):
    """InstDisc, equations 4 to 7: a sum over the noise samples of each query."""
    total = 0.0
    for q, f, others in zip(queries, positives, noise, strict=True):
        share = len(others) / num_instances  # m P_n

        def h(entry, q=q, share=share):
            p = (q @ entry / tau).exp() / constant
            return p / (p + share)

        total = total - h(f).log() - sum((1 - h(other)).log() for other in others)
    return total / len(queries)


def chance_of_nce(num_noise):
    """All probabilities are those of the noise: h is 1 / (m + 1)."""
    h = 1 / (num_noise + 1)
    return -math.log(h) - num_noise * math.log(1 - h)


def moved(entry, query, momentum):
    """The bank's update."""
    return unit(momentum * entry + (1 - momentum) * query)


def any_positive(query, positives, negatives, tau):
    """CoCLR, equation 2: minus the log of the probability of any of the positives."""
    good = sum((query @ p / tau).exp() for p in positives)
    bad = sum(((query @ n / tau).exp() for n in negatives), torch.zeros(()))
    return -(good / (good + bad)).log()
