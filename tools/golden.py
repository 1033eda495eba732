"""Writes tests/golden/losses.json: the first 20 losses of every recipe, made small.

    python tools/golden.py

tests/test_golden.py holds the methods to them. Write them anew only where a method is meant to
compute something else, and say why in the change.
"""

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from vidmoco.assemble import assemble_method
from vidmoco.augment import build_augment
from vidmoco.config import PretrainConfig
from vidmoco.optim import build_optimizer, set_learning_rate
from vidmoco.pretrain import learning_rate_of
from vidmoco.recipe import load_recipe, shipped_recipes
from vidmoco.training_step import train_step

FILE = Path(__file__).parent.parent / "tests" / "golden" / "losses.json"
STEPS, BATCH, VIDEOS = 20, 8, 24
SMALL = {"dim": 16, "hidden_dim": 32, "predictor_hidden_dim": 16, "queue_size": 48, "bn_splits": 2}
SMALL |= {"num_negatives": 32}


def small(name: str) -> PretrainConfig:
    """Return a recipe with everything small: what is computed stays, how much of it does not."""
    config = load_recipe(name)
    is_resnet = "resnet" in config.backbone.name
    has_splits = getattr(config.method, "bn_splits", 1) > 1
    sizes = {key: value for key, value in SMALL.items() if hasattr(config.method, key)}
    if not has_splits:
        sizes.pop("bn_splits", None)
    return replace(
        config,
        data=replace(config.data, batch_size=BATCH),
        augment=replace(config.augment, size=32),
        backbone=replace(config.backbone, name="test_resnet" if is_resnet else "test_vit"),
        method=replace(config.method, **sizes),
        optim=replace(config.optim, warmup_epochs=min(config.optim.warmup_epochs, 2.0)),
        engine=replace(config.engine, precision="fp32", channels_last=False),
    )


def losses_of(name: str) -> list[float]:
    """Return the losses of the first steps of a recipe; all but them is in float64."""
    config = small(name)
    torch.manual_seed(0)
    method = assemble_method(config, device=torch.device("cpu"), durations=np.ones(VIDEOS)).double()
    optimizer = build_optimizer(method.named_parameters(), config.optim)
    augment, draws = build_augment(config.augment), torch.Generator().manual_seed(0)
    # Two frames a video: smooth pictures that differ a little.
    generator = torch.Generator().manual_seed(1)
    first = torch.rand(VIDEOS, 1, 3, 4, 6, generator=generator)
    both = torch.cat([first, 0.8 * first + 0.2 * torch.rand(first.shape, generator=generator)], 1)
    frames = torch.nn.functional.interpolate(both.flatten(0, 1), (40, 60), mode="bilinear")
    frames = (frames * 255).to(torch.uint8).view(VIDEOS, 2, 3, 40, 60)
    steps_per_epoch = VIDEOS // BATCH
    losses = []
    for step in range(STEPS):
        rows = torch.arange(BATCH) + BATCH * (step % steps_per_epoch)
        set_learning_rate(optimizer, learning_rate_of(config, step, STEPS, steps_per_epoch))
        views = augment(frames[rows], torch.full((BATCH,), 1.5), draws)
        values = train_step(
            method,
            optimizer,
            [view.double() for view in views],
            source_ids=rows,
            times=torch.tensor([[0.0, 1.0]] * BATCH, dtype=torch.float64),
            progress=step / STEPS,
            num_parts=1,
            clip_gradient=config.optim.clip_gradient,
            cast=nullcontext(),
        )
        losses.append(round(float(values["loss"]), 6))
    return losses


def main() -> None:
    """Write the file."""
    torch.set_num_threads(1)  # as in the tests
    FILE.parent.mkdir(exist_ok=True)
    lines = [f"  {json.dumps(name)}: {json.dumps(losses_of(name))}" for name in shipped_recipes()]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(FILE)


if __name__ == "__main__":
    main()
