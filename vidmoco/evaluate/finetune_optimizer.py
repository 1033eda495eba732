"""Optimiser and learning rates of a fine-tuning recipe."""

import torch
from torch import nn

from vidmoco.evaluate.finetune_recipes import FinetuneRecipe
from vidmoco.evaluate.regularization import decay_groups
from vidmoco.optim.lars import Lars
from vidmoco.optim.schedule import deit_learning_rate, learning_rate


def build_optimizer(model: nn.Module, recipe: FinetuneRecipe) -> torch.optim.Optimizer:
    """Return the optimiser of a recipe; each step sets its learning rate."""
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(decay_groups(model, recipe.weight_decay), lr=1.0)
    parameters = [p for p in model.parameters() if p.requires_grad]
    if recipe.optimizer == "lars":
        group = {"params": parameters, "lr": 1.0, "weight_decay": recipe.weight_decay}
        return Lars([{**group, "adapts": True}], momentum=0.9, trust_coefficient=0.001)
    return torch.optim.SGD(
        parameters,
        lr=1.0,
        momentum=0.9,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.nesterov,
    )


def rate_of(
    step: int, recipe: FinetuneRecipe, *, base_lr: float, epochs: int, num_batches: int
) -> float:
    """Return the learning rate of a step, with ``num_batches`` in an epoch."""
    if recipe.schedule == "deit":
        epoch = step // num_batches
        return deit_learning_rate(epoch, epochs=epochs, base_lr=base_lr)
    return learning_rate(
        step,
        total_steps=epochs * num_batches,
        steps_per_epoch=num_batches,
        base_lr=base_lr,
        schedule=recipe.schedule,
        milestones=recipe.milestones,
        update_every=recipe.update_every,
    )
