"""Write tests/golden/: the first 20 losses of every recipe, made small, and some of its views.

    python tools/golden.py

tests/test_golden.py compares the methods with these files. Write them again only if a method is
meant to compute something else, and say why in the commit.
"""

import argparse
import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from vidmoco.augment.views import build_augment
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.config.recipe import load_recipe, shipped_recipes
from vidmoco.optim.optimizers import build_optimizer, set_learning_rate
from vidmoco.train.build import assemble_method
from vidmoco.train.pretrain import learning_rate_of
from vidmoco.train.step import train_step

FOLDER = Path(__file__).parent.parent / "tests" / "golden"
STEPS, BATCH, VIDEOS = 20, 8, 24
SMALL = {"dim": 16, "hidden_dim": 32, "predictor_hidden_dim": 16, "queue_size": 48, "bn_splits": 2}
SMALL |= {"num_negatives": 32}


def small(name: str) -> PretrainConfig:
    """Return a recipe with small sizes; the computation is the same."""
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


@patch.object(Tensor, "float", Tensor.double)  # the methods' own casts, to be safe under autocast
def losses_of(name: str) -> list[float]:
    """Return the losses of the first steps of a recipe, all in float64.

    So few samples make a chaotic training: rounding errors of float32, 1 in 10 million, grow to a
    tenth of the loss in ten steps. In float64 the rounding of another machine does not matter if no
    input was rounded to float32. So views are cut out of the frames instead of augmented.
    """
    config = small(name)
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    try:
        method = assemble_method(config, device=torch.device("cpu"), durations=np.ones(VIDEOS))
    finally:
        torch.set_default_dtype(torch.float32)
    optimizer = build_optimizer(method.double().named_parameters(), config.optim)
    steps_per_epoch = VIDEOS // BATCH
    losses = []
    for step in range(STEPS):
        rows = torch.arange(BATCH) + BATCH * (step % steps_per_epoch)
        set_learning_rate(optimizer, learning_rate_of(config, step, STEPS, steps_per_epoch))
        values = train_step(
            method,
            optimizer,
            cut_views(frames()[rows], config, step=step),
            source_ids=rows,
            times=torch.tensor([[0.0, 1.0]] * BATCH, dtype=torch.float64),
            progress=step / STEPS,
            num_parts=1,
            clip_gradient=config.optim.clip_gradient,
            cast=nullcontext(),
        )
        losses.append(round(float(values["loss"]), 6))
    return losses


def views_of(name: str) -> list[list[float]]:
    """Return means and standard deviations of some views of a recipe, in float32."""
    augment, draws = build_augment(small(name).augment), torch.Generator().manual_seed(0)
    views = augment(frames(), torch.full((VIDEOS,), 1.5), draws)
    return [[round(float(value), 5) for value in (view.mean(), view.std())] for view in views]


def frames() -> Tensor:
    """Return uint8 (videos, 2, 3, 40, 60): pictures of 24 squares, similar within a video."""
    generator = torch.Generator().manual_seed(1)
    first = torch.randint(0, 200, (VIDEOS, 1, 3, 4, 6), generator=generator)
    both = torch.cat([first, first + torch.randint(0, 56, first.shape, generator=generator)], 1)
    return both.to(torch.uint8).repeat_interleave(10, -2).repeat_interleave(10, -1)


def cut_views(pairs: Tensor, config: PretrainConfig, *, step: int) -> list[Tensor]:
    """Return as many views as the recipe has, in float64: windows that move with the steps."""
    sizes = [config.augment.size] * config.augment.large_views
    sizes += [config.augment.small_size] * config.augment.small_crops
    height, width = pairs.shape[-2:]
    views = []
    for number, size in enumerate(sizes):
        top = (3 * step + 5 * number) % (height - size + 1)
        left = (7 * step + 11 * number) % (width - size + 1)
        pixels = pairs[:, number % 2, :, top : top + size, left : left + size]
        views.append((pixels.double() / 255 - 0.45) / 0.25)
    return views


def main() -> None:
    """Write the files."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.set_num_threads(1)  # as in the tests
    FOLDER.mkdir(exist_ok=True)
    for file, of in (("losses.json", losses_of), ("views.json", views_of)):
        lines = [f"  {json.dumps(name)}: {json.dumps(of(name))}" for name in shipped_recipes()]
        (FOLDER / file).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
        print(FOLDER / file)


if __name__ == "__main__":
    main()
