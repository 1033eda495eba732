"""Train a detector, recompute its batch norm statistics, and detect objects."""

import math
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from vidmoco.errors import TrainingError
from vidmoco.evaluate.detection.annotations import AnnotatedImage
from vidmoco.evaluate.detection.average_precision import Detections
from vidmoco.evaluate.detection.batches import read_batches, to_pixels
from vidmoco.evaluate.detection.detector import batch_norms


def build_optimizer(
    model: nn.Module, *, momentum: float, weight_decay: float
) -> torch.optim.Optimizer:
    """Return SGD; batch norms have no weight decay (detectron2's default)."""
    norm_parameters = {id(p) for norm in batch_norms(model) for p in norm.parameters()}
    groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for parameter in model.parameters():
        if parameter.requires_grad:
            groups[id(parameter) not in norm_parameters].append(parameter)
    options = [
        {"params": parameters, "weight_decay": weight_decay if decays else 0.0}
        for decays, parameters in groups.items()
        if parameters
    ]
    return torch.optim.SGD(options, lr=0.0, momentum=momentum)


def train_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: list[Tensor],
    targets: list[dict[str, Tensor]],
    *,
    lr: float,
    cast: AbstractContextManager[None],
) -> dict[str, float]:
    """Take a step; return the losses of this process by name, and their sum as ``loss``.

    Raises:
        TrainingError: the loss is not finite.
    """
    for group in optimizer.param_groups:
        group["lr"] = lr
    with cast:
        losses: dict[str, Tensor] = model(images, targets)
    loss = torch.stack(list(losses.values())).sum()
    values = {"loss": loss.item()} | {name: value.item() for name, value in losses.items()}
    if not math.isfinite(values["loss"]):
        raise TrainingError(
            f"The loss is {values['loss']}: the run stops here. Start again with a lower --lr or a "
            "longer --warmup."
        )
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return values


@torch.no_grad()
def measure_norms(
    model: nn.Module,
    batches: Iterable[tuple[list[Tensor], list[dict[str, Tensor]]]],
    *,
    cast: AbstractContextManager[None],
) -> None:
    """Recompute the running statistics of batch norms as means over some training batches.

    detectron2 calls this precise BN: the running average of a training is partly of older weights.
    The model must be in training mode.
    """
    norms = batch_norms(model)
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over all batches
    for images, targets in batches:
        with cast:
            model(images, targets)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


@torch.inference_mode()
def detect(
    model: nn.Module,
    images: Sequence[AnnotatedImage],
    *,
    device: torch.device,
    cast: AbstractContextManager[None],
) -> list[Detections]:
    """Return a detector's detections, one image at a time (as detectron2 does).

    The model must be in evaluation mode.
    """
    found = []
    for batch in read_batches([image] for image in images):
        for _, pixels in batch:
            with cast:
                (output,) = model([to_pixels(pixels, device)])
            parts = {name: output[name].cpu() for name in ("boxes", "scores", "labels")}
            found.append(Detections(**parts))
    return found
