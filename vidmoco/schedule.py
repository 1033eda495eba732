"""Learning-rate schedules: pure functions of the step."""

import math
from collections.abc import Sequence
from typing import Literal


def learning_rate(
    step: int,
    *,
    total_steps: int,
    steps_per_epoch: int,
    base_lr: float,
    schedule: Literal["cosine", "step"],
    milestones: Sequence[float] = (),
    warmup_epochs: float = 0.0,
    update_every: Literal["epoch", "step"] = "epoch",
) -> float:
    """Return the learning rate of ``step`` (0 <= step < total_steps).

    ``cosine`` is MoCo v2's ``lr / 2 (1 + cos(pi e / E))`` and ``step`` MoCo v1's tenth at each
    milestone (a share of the training). With ``update_every="epoch"`` e counts whole epochs, as in
    the papers' code; with ``"step"`` it moves at every step.
    """
    warmup_steps = warmup_epochs * steps_per_epoch
    if step < warmup_steps:
        return base_lr * step / warmup_steps
    if update_every == "epoch":
        step = step // steps_per_epoch * steps_per_epoch
    progress = step / total_steps
    if schedule == "step":
        passed = sum(progress >= milestone for milestone in milestones)
        return base_lr * 0.1**passed
    return base_lr * 0.5 * (1 + math.cos(math.pi * progress))


def scaled_learning_rate(lr: float, *, batch_size: int) -> float:
    """Return the learning rate of a batch, given that of 256 pairs: lr * batch_size / 256.

    Goyal et al. 2017, section 2.1, which both MoCo papers follow.
    """
    return lr * batch_size / 256
