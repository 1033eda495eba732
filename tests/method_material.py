"""What the tests of methods share: a tiny backbone, views, and how a method is called."""

from contextlib import nullcontext

import torch
from torch import nn

from vidmoco.methods.build import build_method
from vidmoco.methods.protocol import Inputs
from vidmoco.train.step import train_step


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


def views(seed, n=4, size=8, crops=0, large=2):
    generator = torch.Generator().manual_seed(seed)
    sizes = [size] * large + [size // 2] * crops
    return [torch.randn(n, 3, s, s, generator=generator) for s in sizes]


def sources(step, n):
    """Return the source of each sample; in step 2 a batch has some sources several times."""
    return [i * i // 4 if step == 2 else i for i in range(n)]


def built(config, backbone, **inputs):
    """A method of some settings, with first weights that are the same each time."""
    torch.manual_seed(0)
    return build_method(config, backbone, Inputs(**({"num_features": 6} | inputs)))


def run(method, pair, *, ids=None, times=None, progress=0.0):
    """Take a step without an optimiser: gradients add up. Returns its loss and diagnostics."""
    n = len(pair[0])
    ids = torch.arange(n) if ids is None else ids
    times = torch.zeros(n, 2, dtype=torch.float64) if times is None else times
    method.begin_step(progress)
    loss, stats = method(pair, source_ids=ids, times=times)
    if loss.requires_grad:
        loss.backward()
    method.end_step()
    return loss.detach(), stats


def one_step(method, pair, **options):
    """A step as the training takes it, at a learning rate of zero; returns loss, gradients."""
    frozen = torch.optim.SGD(method.parameters(), lr=0.0)
    kept = {}

    def keep(*_):
        kept.update({n: p.grad.clone() for n, p in method.named_parameters() if p.grad is not None})

    frozen.register_step_pre_hook(keep)
    n = len(pair[0])
    values = train_step(
        method,
        frozen,
        pair,
        source_ids=options.get("ids", torch.arange(n)),
        times=options.get("times", torch.zeros(n, 2, dtype=torch.float64)),
        progress=0.0,
        num_parts=options.get("num_parts", 1),
        clip_gradient=None,
        cast=nullcontext(),
    )
    return values, kept


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
