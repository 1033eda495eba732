"""Linear classification on frozen features, as the papers' code has it, written out by hand."""

import math

import torch


def rates(recipe, *, epochs, steps, batch_size, lr):
    """Yield the learning rate of every step."""
    for epoch in range(epochs):
        for step in range(steps):
            if recipe == "moco_v1":  # main_lincls.py: a tenth at 60 and 80 of 100 epochs
                yield lr * 0.1 ** sum(epoch >= mark * epochs for mark in (0.6, 0.8))
            elif recipe == "moco_v3_resnet":  # main_lincls.py: a cosine, once an epoch
                yield lr * batch_size / 256 * 0.5 * (1 + math.cos(math.pi * epoch / epochs))
            else:  # all layers: at every step
                done = (epoch * steps + step) / (epochs * steps)
                yield lr * batch_size / 256 * 0.5 * (1 + math.cos(math.pi * done))


def sgd(weight, bias, batches, rates, *, nesterov=False):
    """Return the losses before each step of momentum 0.9 on softmax regression."""
    velocity = [torch.zeros_like(weight), torch.zeros_like(bias)]
    losses = []
    for (features, labels), lr in zip(batches, rates, strict=True):
        logits = features @ weight.T + bias
        p = logits.softmax(dim=1)
        losses.append(-p[torch.arange(len(labels)), labels].log().mean().item())
        p[torch.arange(len(labels)), labels] -= 1
        gradient = [p.T @ features / len(labels), p.mean(dim=0)]
        for n, (value, grad) in enumerate(zip((weight, bias), gradient, strict=True)):
            velocity[n] = 0.9 * velocity[n] + grad
            value.sub_(lr * (grad + 0.9 * velocity[n] if nesterov else velocity[n]))
    return losses
