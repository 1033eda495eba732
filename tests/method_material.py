"""What the tests of methods share: a tiny backbone, views, and how a method is called."""

import torch
from torch import nn


def tiny_backbone():
    """Without batch norm: no sample sees another."""
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


def normed_backbone():
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


def views(seed, n=4, size=8, crops=0):
    generator = torch.Generator().manual_seed(seed)
    sizes = [size, size, *[size // 2] * crops]
    return [torch.randn(n, 3, s, s, generator=generator) for s in sizes]


def run(method, pair, *, ids=None, times=None, **options):
    """Call a method; return its loss and diagnostics."""
    n = len(pair[0])
    ids = torch.arange(n) if ids is None else ids
    times = torch.zeros(n, 2, dtype=torch.float64) if times is None else times
    return method(pair, source_ids=ids, times=times, **options)


def gradients(method):
    return {name: p.grad for name, p in method.named_parameters() if p.grad is not None}


def sgd_step(parameters, lr=0.1):
    """A plain step of gradient descent on what has gradients, which are taken away."""
    with torch.no_grad():
        for p in parameters:
            if p.grad is not None:
                p.sub_(lr * p.grad)
                p.grad = None


def keys_without_gradient(method):
    """Run a method on views that have gradients; none may come through its keys."""
    pair = [view.requires_grad_() for view in views(0, n=8)]
    run(method, pair)
    query, key = method.embeddings
    assert not query.requires_grad
    return not key.requires_grad


SHARED_STATS = {"top1", "top5", "positive", "negative", "loss_minus_chance"}
