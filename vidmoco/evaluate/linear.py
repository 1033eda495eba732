"""Linear probe on frozen features: multinomial logistic regression, weight decay chosen on train.

It uses features computed once, without augmentation, as CLIP does (arXiv:2103.00020, appendix A.3:
L-BFGS, regularisation chosen on held-out data). NOTE: the MoCo papers train by SGD on augmented
crops, so their numbers are not comparable with these.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vidmoco.shapes import Float, Int64

# In scikit-learn's terms C = 1 / (decay * n). For features of untrained ResNets on
# tiny_imagenet_mini, CIFAR-10 and droid rooms the best decay lies inside this range (measured). The
# results note a best decay at an end.
DECAYS = (1.0, 0.1, 0.01, 1e-3, 1e-4)
# Bounds the memory for logits. The objective is still that of all rows together.
_ROWS_AT_ONCE = 65536
# Below this number of multiplications one thread takes at most about 20 ms a pass (measured).
_ONE_THREAD_BELOW = 3e8


@dataclass(frozen=True)
class LinearClassifier:
    """logits = (x - mean) / std @ weight.T + bias."""

    mean: Float[Tensor, " d"]
    std: Float[Tensor, " d"]
    weight: Float[Tensor, "c d"]
    bias: Float[Tensor, " c"]

    def __call__(self, features: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        """Return logits."""
        return F.linear((features - self.mean) / self.std, self.weight, self.bias)


@dataclass(frozen=True)
class LinearProbe:
    """The result of a linear probe."""

    scores: Float[Tensor, "m c"]
    """Logits of the val images, on the CPU."""
    decay: float
    """The chosen weight decay."""
    held_out_accuracy: dict[float, float]
    """Accuracy from 0 to 1 of each decay on the held-out part; empty if there was no choice."""


def linear_probe(
    train_features: Float[Tensor, "n d"],
    train_labels: Int64[Tensor, " n"],
    val_features: Float[Tensor, "m d"],
    *,
    num_classes: int,
    decays: Sequence[float] = DECAYS,
    groups: Int64[Tensor, " n"] | None = None,
    seed: int = 0,
    on_fit: Callable[[str], None] = lambda note: None,
) -> LinearProbe:
    """Fit a linear classifier on train features and score val features with it.

    The weight decay is the one with the best accuracy on a held-out tenth of train; val is not
    used for it. The tenth is stratified by class, or made of whole groups if there are groups. Then
    the classifier is fitted again on all of train.

    Args:
        train_features: Frozen features.
        train_labels: Their classes, from 0.
        val_features: Features to score, on the same device.
        num_classes: c.
        decays: Weight decays to choose from.
        groups: The group of each row. Frames of one video are near-copies, so held-out frames must
            not be of the videos that are fitted.
        seed: Of the held-out tenth.
        on_fit: Is told each fit as it begins.
    """
    ordered = sorted(decays, reverse=True)
    held_out = (
        stratified_part(train_labels, share=0.1, seed=seed)
        if groups is None
        else grouped_part(train_labels, groups, share=0.1, seed=seed)
    )
    accuracy: dict[float, float] = {}
    if len(ordered) > 1 and len(held_out):
        mask = torch.ones(len(train_labels), dtype=torch.bool)
        mask[held_out] = False
        fit_rows, held_rows = mask.nonzero()[:, 0], held_out
        features, labels = _take(train_features, train_labels, fit_rows)
        held_features, held_labels = _take(train_features, train_labels, held_rows)
        path = fit_logistic(features, labels, num_classes=num_classes, decays=ordered)
        for n, decay in enumerate(ordered, 1):
            on_fit(f"{n} of {len(ordered)} decays")
            classifier = next(path)
            predicted = classifier(held_features).argmax(dim=1)
            accuracy[decay] = float((predicted == held_labels).double().mean())
    # max takes the first, so the strongest decay wins a tie.
    best = max(accuracy, key=accuracy.__getitem__, default=ordered[len(ordered) // 2])
    on_fit(f"all of train, decay {best:g}")
    (classifier,) = fit_logistic(
        train_features, train_labels, num_classes=num_classes, decays=[best]
    )
    return LinearProbe(
        scores=classifier(val_features).cpu(), decay=best, held_out_accuracy=accuracy
    )


def fit_logistic(
    features: Float[Tensor, "n d"],
    labels: Int64[Tensor, " n"],
    *,
    num_classes: int,
    decays: Sequence[float],
) -> Iterator[LinearClassifier]:
    """Yield, for each decay, the classifier that minimises this objective over all rows.

    mean cross-entropy(x @ weight.T + bias) + decay / 2 * ||weight||^2 on standardised features x.
    The bias is not decayed. Each fit starts from the previous one, which only saves time: the
    optimum is unique for a decay above zero.
    """
    mean = features.mean(dim=0)
    std = features.std(dim=0, correction=0)
    std = torch.where(std > 1e-6 * std.max(), std, torch.ones_like(std))  # a constant feature
    rows = (features - mean).div_(std)
    # The same objective in better coordinates: along the eigenvectors of the covariance, scaled by
    # about the root of the curvature, it is well conditioned and L-BFGS needs a third of the steps.
    covariance = (rows.T @ rows / len(rows)).double()
    with _one_thread(when=len(covariance) <= 2048):  # measured: 1.5 s
        variance, basis = torch.linalg.eigh(covariance)
    variance, basis = variance.clamp(min=0).float(), basis.float()
    rows = rows @ basis
    weight = torch.zeros(num_classes, rows.shape[1], device=rows.device)
    bias = torch.zeros(num_classes, device=rows.device)
    for decay in decays:
        scale = (variance / num_classes + decay).rsqrt()
        weight, bias = _minimise(rows, labels, decay=decay, scale=scale, weight=weight, bias=bias)
        yield LinearClassifier(mean=mean, std=std, weight=weight @ basis.T, bias=bias)


def _minimise(
    rows: Tensor, labels: Tensor, *, decay: float, scale: Tensor, weight: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor]:
    """Return weight and bias at the optimum; L-BFGS optimises ``weight / scale``."""
    scaled = (weight / scale).requires_grad_(True)
    bias = bias.clone().requires_grad_(True)
    optimizer = torch.optim.LBFGS(
        [scaled, bias],
        max_iter=500,
        history_size=10,
        tolerance_grad=1e-6,
        # Steps are in the scaled coordinates, which shrink with the number of classes. With 1e-6
        # a fit of 1,000 classes ended after 5 steps, with a top-1 of 38.3 in place of 40.0.
        tolerance_change=1e-9,
        line_search_fn="strong_wolfe",
    )

    # The total is in float64. In float32 two totals are soon equal, and on some processors
    # the fit ended 1e-4 from the optimum, where it now ends 1e-8 from it (1,000 classes, measured).
    def objective() -> Tensor:
        optimizer.zero_grad()
        weight = scaled * scale
        total = decay / 2 * weight.double().square().sum()
        total.backward()
        total = total.detach()
        for chunk, chunk_labels in zip(
            rows.split(_ROWS_AT_ONCE), labels.split(_ROWS_AT_ONCE), strict=True
        ):
            logits = F.linear(chunk, scaled * scale, bias)
            loss = F.cross_entropy(logits, chunk_labels, reduction="sum") / len(labels)
            loss.backward()
            total += loss.detach()
        return total

    with torch.enable_grad(), _one_thread(when=rows.numel() * len(bias) < _ONE_THREAD_BELOW):
        optimizer.step(objective)
    return (scaled * scale).detach(), bias.detach()


@contextmanager
def _one_thread(*, when: bool) -> Iterator[None]:
    """Run small operations on one thread.

    On a busy machine with 2 cores, 6,250 x 512 features took 1 s with one thread and 30 s with two,
    which wait for each other after every operation (measured).
    """
    before = torch.get_num_threads()
    if when:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def stratified_part(
    labels: Int64[Tensor, " n"], *, share: float, seed: int, leave_one: bool = True
) -> Int64[Tensor, " h"]:
    """Return row numbers of a share of each class, at least one row per class.

    ``leave_one`` keeps at least one row of each class out, so a class of one row gives none.
    """
    generator = np.random.default_rng(seed)
    chosen = []
    classes = labels.cpu().numpy()
    for label in np.unique(classes):
        rows = np.flatnonzero(classes == label)
        count = min(max(1, round(share * len(rows))), len(rows) - leave_one)
        chosen.append(generator.permutation(rows)[:count])
    return torch.from_numpy(np.sort(np.concatenate(chosen)).astype(np.int64))


def grouped_shots(
    labels: Int64[Tensor, " n"], groups: Int64[Tensor, " n"], *, share: float, seed: int
) -> Int64[Tensor, " h"]:
    """Return row numbers of about a share of each class, at least one group of it.

    All rows of a class in a group are chosen, or none: frames of one video are near-copies, so a
    frame of each video would show almost all that there is.
    """
    generator = np.random.default_rng(seed)
    chosen: list[np.ndarray] = []
    classes, members = labels.cpu().numpy(), groups.cpu().numpy()
    for label in np.unique(classes):
        rows = np.flatnonzero(classes == label)
        num_chosen = 0
        for group in generator.permutation(np.unique(members[rows])):
            some = rows[members[rows] == group]
            # As near to the share as whole groups come.
            if num_chosen == 0 or num_chosen + len(some) / 2 <= share * len(rows):
                chosen.append(some)
                num_chosen += len(some)
    return torch.from_numpy(np.sort(np.concatenate(chosen)).astype(np.int64))


def grouped_part(
    labels: Int64[Tensor, " n"], groups: Int64[Tensor, " n"], *, share: float, seed: int
) -> Int64[Tensor, " h"]:
    """Return row numbers of whole groups, about ``share`` of all rows.

    A group that holds the remaining rows of a class is not chosen, so the result may be empty. One
    with which there would be more than twice the share is chosen only if no other can be: then the
    smallest of them.
    """
    generator = np.random.default_rng(seed)
    classes, members = labels.cpu().numpy(), groups.cpu().numpy()
    remaining = np.bincount(classes)
    by_group = np.split(
        np.argsort(members, kind="stable"),
        np.cumsum(np.unique(members, return_counts=True)[1])[:-1],
    )
    wanted = share * len(classes)
    chosen: list[np.ndarray] = []
    too_large: list[np.ndarray] = []
    num_chosen = 0
    for number in generator.permutation(len(by_group)).tolist():
        if num_chosen >= wanted:
            break
        rows = by_group[number]
        counts = np.bincount(classes[rows], minlength=len(remaining))
        if ((counts > 0) & (counts == remaining)).any():
            continue
        if num_chosen + len(rows) > 2 * wanted:
            too_large.append(rows)
            continue
        remaining -= counts
        chosen.append(rows)
        num_chosen += len(rows)
    if not chosen and too_large:
        chosen = [min(too_large, key=len)]
    rows = np.sort(np.concatenate([*chosen, np.zeros(0, np.int64)]))
    return torch.from_numpy(rows.astype(np.int64))


def _take(features: Tensor, labels: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    rows = rows.to(features.device)
    return features[rows], labels[rows]
