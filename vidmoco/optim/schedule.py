"""Learning-rate schedules: pure functions of the step."""

import math
from collections.abc import Sequence
from typing import Literal

_DEIT_WARMUP_EPOCHS = 5
_DEIT_FIRST_LR, _DEIT_LAST_LR = 1e-6, 1e-5


def learning_rate(
    step: int,
    *,
    total_steps: int,
    steps_per_epoch: int,
    base_lr: float,
    schedule: Literal["cosine", "step"],
    milestones: Sequence[float] = (),
    warmup_epochs: float = 0.0,
    warmup_start: float = 0.0,
    update_every: Literal["epoch", "step"] = "epoch",
) -> float:
    """Return the learning rate of ``step`` (0 <= step < total_steps).

    ``cosine`` is MoCo v2's ``lr / 2 (1 + cos(pi e / E))``, where e and E count from the end of the
    warm-up (MoCo v3, SimCLR). ``step`` divides by ten at each milestone, a fraction of the training
    (MoCo v1). The warm-up is linear and starts at ``warmup_start`` times the rate. With
    ``update_every="epoch"`` e counts whole epochs, as in the papers' code. With ``"step"`` it
    changes at every step.
    """
    warmup_steps = warmup_epochs * steps_per_epoch
    if step < warmup_steps:
        return base_lr * (warmup_start + (1 - warmup_start) * step / warmup_steps)
    if update_every == "epoch":
        step = step // steps_per_epoch * steps_per_epoch
    if schedule == "step":
        passed = sum(step / total_steps >= milestone for milestone in milestones)
        return base_lr * 0.1**passed
    progress = max(step - warmup_steps, 0) / (total_steps - warmup_steps)
    return base_lr * 0.5 * (1 + math.cos(math.pi * progress))


def deit_learning_rate(epoch: int, *, epochs: int, base_lr: float) -> float:
    """Return the learning rate of ``epoch``, from 0 on, in DeiT's fine-tuning.

    Touvron et al. 2021, the released code: five epochs of warm-up from 1e-6, then a cosine to 1e-5
    that counts from the first epoch. The code steps the schedule after an epoch with the number of
    that epoch, so the first two have the same rate.
    """
    done = max(epoch - 1, 0)
    if done < _DEIT_WARMUP_EPOCHS:
        return _DEIT_FIRST_LR + (base_lr - _DEIT_FIRST_LR) * done / _DEIT_WARMUP_EPOCHS
    cosine = 0.5 * (1 + math.cos(math.pi * done / epochs))
    return _DEIT_LAST_LR + (base_lr - _DEIT_LAST_LR) * cosine


def scaled_learning_rate(
    lr: float, *, batch_size: int, scale: Literal["linear", "sqrt", "none"] = "linear"
) -> float:
    """Return the learning rate for a batch size.

    ``linear`` is lr * batch_size / 256 (Goyal et al. 2017, section 2.1, which the MoCo papers
    follow). ``sqrt`` is lr * sqrt(batch_size) (Chen et al. 2020, SimCLR, appendix B.1).
    """
    if scale == "none":
        return lr
    return lr * math.sqrt(batch_size) if scale == "sqrt" else lr * batch_size / 256
