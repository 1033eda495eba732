"""Train a classifier on a backbone with labelled images: only its head, or all layers.

``head`` is the linear classification of the MoCo papers: a linear layer on the features of the
frozen backbone, with batch norms in evaluation mode, by SGD on random crops. ``all`` trains the
backbone too. Accuracy on val is measured after every epoch; the last one counts.
"""

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from vidmoco import distributed
from vidmoco.backbones.build import weights_hash
from vidmoco.backbones.frozen import FrozenBackbone
from vidmoco.backbones.preprocess import normalize
from vidmoco.device import autocast, use_channels_last
from vidmoco.distributed import on_all_ranks
from vidmoco.errors import CheckpointError
from vidmoco.evaluate.features import Features, ImageBatch, compute_features, image_loader
from vidmoco.evaluate.finetune_optimizer import build_optimizer, rate_of
from vidmoco.evaluate.finetune_recipes import FinetuneRecipe, Rule
from vidmoco.evaluate.finetune_state import FinetuneState
from vidmoco.evaluate.regularization import add_drop_path, erased_and_mixed, seeded
from vidmoco.evaluate.scores import balanced_accuracy, is_right, top_accuracy
from vidmoco.evaluate.training_images import (
    EpochBatches,
    TrainingBatch,
    TrainingImages,
    seed_of,
    training_loader,
)
from vidmoco.images.labelled import LabelledImages
from vidmoco.methods.normalization import sync_batch_norm
from vidmoco.optim.schedule import scaled_learning_rate


@dataclass(frozen=True, kw_only=True)
class FinetuneSettings:
    """What a fine-tuning depends on besides backbone and images."""

    rule: Rule
    recipe: FinetuneRecipe
    epochs: int
    lr: float
    """Learning rate before it is scaled with the batch."""
    batch_size: int
    """Of all processes together, from ``batch_size_of``."""
    seed: int
    precision: Literal["bf16", "fp32"]

    def as_key(self) -> dict[str, Any]:
        """Return the settings as plain values for JSON."""
        key = asdict(self)
        del key["recipe"]["source"]
        return key

    @property
    def base_lr(self) -> float:
        """The peak learning rate."""
        return scaled_learning_rate(self.lr, batch_size=self.batch_size, scale=self.recipe.scale_lr)


_MOST_AT_ONCE = 256  # images


class Classifier(nn.Module):
    """A backbone and a linear layer, initialised as in the MoCo papers' code."""

    def __init__(
        self,
        backbone: nn.Module,
        *,
        dim: int,
        num_classes: int,
        is_frozen: bool,
        head_std: float = 0.01,
    ) -> None:
        super().__init__()
        self.backbone, self.is_frozen = backbone, is_frozen
        self.head = nn.Linear(dim, num_classes)
        nn.init.normal_(self.head.weight, std=head_std)
        nn.init.zeros_(self.head.bias)
        backbone.requires_grad_(not is_frozen)

    def train(self, mode: bool = True) -> "Classifier":
        """Set the mode. A frozen backbone stays in evaluation mode."""
        super().train(mode)
        if self.is_frozen:
            self.backbone.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (n, c) of normalised images (n, 3, s, s)."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.is_frozen):
            # A frozen backbone needs no batch of thousands at once.
            parts = images.split(_MOST_AT_ONCE) if self.is_frozen else [images]
            features = torch.cat([self.backbone(part) for part in parts])
        logits: Tensor = self.head(features)
        return logits


def finetune(
    candidate: FrozenBackbone,
    features: Features,
    train: LabelledImages,
    val: LabelledImages,
    settings: FinetuneSettings,
    *,
    state: FinetuneState,
    device: torch.device,
    workers: int,
    on_step: Callable[[str], None] = lambda state: None,
) -> list[dict[str, float]]:
    """Train, resuming from ``state``, and return the results of each epoch.

    Args:
        candidate: The backbone; it is not changed.
        features: Its features of all images of train and val; they tell which images are readable.
        train: The training images.
        val: The validation images.
        settings: Recipe and hyperparameters.
        state: Loads and saves checkpoints.
        device: The device to train on.
        workers: Processes that read images. 0 means this process.
        on_step: Gets a text of the progress after every step.

    Returns:
        ``{"epoch": 1.0, "train_loss": …, "top1": …, "balanced": …, "top5": …}`` for each epoch,
        accuracies in percent; ``balanced`` is the mean over classes, ``top5`` is there only for
        more than five classes.

    Raises:
        CheckpointError: the loss is not finite.
    """
    is_frozen = settings.rule == "head"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model = Classifier(
            copy.deepcopy(candidate.backbone),
            dim=candidate.dim,
            num_classes=len(train.classes),
            is_frozen=is_frozen,
            head_std=settings.recipe.head_std,
        )
    regularization = settings.recipe.regularization
    if regularization is not None:
        add_drop_path(model.backbone, regularization.drop_path)
    use_channels_last(model.to(device))
    if distributed.world_size() > 1 and not is_frozen:
        sync_batch_norm(model)
    optimizer = build_optimizer(model, settings.recipe)
    kept = model.head if is_frozen else model
    curve = state.load(kept, optimizer)
    if len(curve) >= settings.epochs:
        return curve
    rows = features.rows[features.rows < len(train)].numpy()
    batches = EpochBatches(
        rows,
        epochs=range(len(curve), settings.epochs),
        batch_size=settings.batch_size,
        seed=settings.seed,
        least_share=1 if is_frozen else 2,  # batch norms need two values of a channel
        copies=1 if regularization is None else regularization.copies,
    )
    images = TrainingImages(
        train,
        candidate.preprocess,
        crop_scale=settings.recipe.crop_scale,
        seed=settings.seed,
        regularization=regularization,
    )
    pin_memory = device.type == "cuda"
    loader = iter(training_loader(images, batches, workers=workers, pin_memory=pin_memory))
    val_loader = image_loader(
        [val], candidate.preprocess,
        batch_size=settings.batch_size, workers=workers, pin_memory=pin_memory,
    )  # fmt: skip
    trained = on_all_ranks(model, device)
    for epoch in batches.epochs:
        loss = _train_epoch(
            trained, optimizer, loader, candidate, settings,
            epoch=epoch, num_batches=batches.batches_per_epoch, num_classes=len(train.classes),
            device=device,
            so_far=f", top-1 {curve[-1]['top1']:.1f} % so far" if curve else "", on_step=on_step,
        )  # fmt: skip
        if is_frozen:
            scores, truth = _scores_of_features(model.head, features, train, val)
        else:
            scores, truth = _scores_of_images(model, val_loader, val, candidate)
        point = {
            "epoch": epoch + 1.0,
            "train_loss": loss,
            "top1": top_accuracy(scores, truth),
            "balanced": balanced_accuracy(is_right(scores, truth), truth),
        }
        if len(train.classes) > 5:
            point["top5"] = top_accuracy(scores, truth, top=5)
        curve = [*curve, point]
        if is_frozen:
            # The MoCo papers' code checks this too.
            assert weights_hash(model.backbone) == candidate.weights_hash, "weights changed"
        state.save(kept, optimizer, curve)
    return curve


def _train_epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterator[TrainingBatch],
    candidate: FrozenBackbone,
    settings: FinetuneSettings,
    *,
    epoch: int,
    num_batches: int,
    num_classes: int,
    device: torch.device,
    so_far: str,
    on_step: Callable[[str], None],
) -> float:
    """Train for one epoch and return its mean loss."""
    recipe = settings.recipe
    model.train()
    total = torch.zeros((), device=device, dtype=torch.float64)
    for step in range(epoch * num_batches, (epoch + 1) * num_batches):
        for group in optimizer.param_groups:
            group["lr"] = rate_of(
                step,
                recipe,
                base_lr=settings.base_lr,
                epochs=settings.epochs,
                num_batches=num_batches,
            )
        batch = next(batches)
        images, labels = (x.to(device, non_blocking=True) for x in batch)
        inputs = normalize(images, candidate.preprocess)
        smoothing = 0.0
        draws: AbstractContextManager[None] = nullcontext()
        if recipe.regularization is not None:  # drop path draws from the global generator too
            smoothing = recipe.regularization.label_smoothing
            draws = seeded(seed_of(settings.seed, step, distributed.rank()))
        with draws:
            if recipe.regularization is not None:
                inputs, labels = erased_and_mixed(
                    inputs, labels, recipe.regularization, num_classes=num_classes
                )
            with autocast(device, settings.precision):
                logits = model(inputs.contiguous(memory_format=torch.channels_last))
        loss = F.cross_entropy(logits.float(), labels, label_smoothing=smoothing)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        total += loss.detach()
        done = (step + 1) % num_batches or num_batches
        on_step(f"epoch {epoch + 1} of {settings.epochs}, {done / num_batches:.0%}{so_far}")
    mean = float(distributed.gather_rows(total[None] / num_batches).mean())
    if not math.isfinite(mean):
        raise CheckpointError(
            f"Fine-tuning of {candidate.name} ({settings.rule}): the loss is {mean} in epoch "
            f"{epoch + 1}. Give a lower --finetune-lr, or --precision fp32."
        )
    return mean


@torch.inference_mode()
def _scores_of_features(
    head: nn.Module, features: Features, train: LabelledImages, val: LabelledImages
) -> tuple[Tensor, Tensor]:
    """Return logits and classes of val from computed features."""
    is_val = features.rows >= len(train)
    device = next(head.parameters()).device
    scores = head(features.values[is_val].to(device)).cpu()
    return scores, val.labels[features.rows[is_val] - len(train)]


def _scores_of_images(
    model: Classifier,
    loader: DataLoader[ImageBatch],
    val: LabelledImages,
    candidate: FrozenBackbone,
) -> tuple[Tensor, Tensor]:
    """Return logits and classes of val, of its images."""
    classifier = replace(candidate, backbone=model, dim=model.head.out_features)
    found = compute_features(classifier, loader)
    return found.values, val.labels[found.rows]
