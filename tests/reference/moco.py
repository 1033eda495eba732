"""MoCo restated slowly from Algorithm 1 of the paper: loops, explicit SGD, no library loss."""

import copy
import math

import torch
from torch import nn


def unit(v: torch.Tensor) -> torch.Tensor:
    return v / (v * v).sum().sqrt()


def info_nce(query, key, negatives, tau):
    """Equation 1, one query at a time. Returns the mean loss and the ranks of the positives."""
    losses, ranks = [], []
    for q, k in zip(query, key, strict=True):
        positive = (q * k).sum() / tau
        others = [(q * n).sum() / tau for n in negatives]
        total = positive.exp()
        for other in others:
            total = total + other.exp()
        losses.append(-(positive.exp() / total).log())
        ranks.append(sum(bool(other >= positive) for other in others))
    return sum(losses) / len(losses), ranks


class SlowMoCo:
    """The algorithm box, with SGD written out, on an encoder without batch norm."""

    def __init__(self, encoder: nn.Module, queue: torch.Tensor, *, m, tau, lr, sgd_momentum, decay):
        self.f_q, self.f_k = encoder, copy.deepcopy(encoder)
        self.queue = [row.clone() for row in queue]  # oldest first
        self.m, self.tau, self.lr, self.sgd_momentum, self.decay = m, tau, lr, sgd_momentum, decay
        self.velocity = [torch.zeros_like(p) for p in encoder.parameters()]

    def step(self, x_q, x_k):
        q = [unit(self.f_q(x[None])[0]) for x in x_q]
        with torch.no_grad():
            for p_k, p_q in zip(self.f_k.parameters(), self.f_q.parameters(), strict=True):
                p_k.copy_(self.m * p_k + (1 - self.m) * p_q)
            k = [unit(self.f_k(x[None])[0]) for x in x_k]
        loss, ranks = info_nce(q, k, self.queue, self.tau)
        gradients = torch.autograd.grad(loss, list(self.f_q.parameters()))
        with torch.no_grad():
            for i, (p, g) in enumerate(zip(self.f_q.parameters(), gradients, strict=True)):
                d = g + self.decay * p
                self.velocity[i] = self.sgd_momentum * self.velocity[i] + d
                p.sub_(self.lr * self.velocity[i])
        self.queue = (self.queue + k)[-len(self.queue) :]
        return loss.item(), gradients, ranks


def chance_loss(queue_size: int) -> float:
    """All similarities equal: one of K + 1."""
    return math.log(queue_size + 1)
