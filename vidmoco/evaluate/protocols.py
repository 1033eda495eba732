"""Score the features of one backbone: k-NN, linear probe, few-shot linear probe."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import Any, Literal

import torch
from torch import Tensor

from vidmoco.config.evaluation import EvaluateCommand
from vidmoco.evaluate.features import Features
from vidmoco.evaluate.knn import knn_predictions
from vidmoco.evaluate.linear import grouped_shots, linear_probe, stratified_part
from vidmoco.evaluate.scores import (
    balanced_accuracy,
    confusion_matrix,
    interval,
    is_right,
    share_right,
    top_accuracy,
    video_scores,
)
from vidmoco.images.labelled import LabelledImages
from vidmoco.progress import ProgressBar
from vidmoco.shapes import Float, Int64

HEADLINE_K = 20
"""The k of intervals, confusion matrices and videos, if it is among the given ones (as in DINO)."""
MOST_CONFUSED = 1000
"""Number of classes above which there are no confusion matrices. With 4,200 classes the two of one
backbone made a file larger than the 64 MiB that `vidmoco report` reads (measured)."""


def score_features(
    features: Features,
    train: LabelledImages,
    val: LabelledImages,
    command: EvaluateCommand,
    *,
    device: torch.device,
    progress: ProgressBar,
    name: str,
    seconds: dict[str, float],
) -> dict[str, Any]:
    """Return the accuracies of one backbone in percent, and add each one's time to ``seconds``."""
    is_train = features.rows < len(train)
    labels = torch.cat([train.labels, val.labels])[features.rows]
    val_rows = features.rows[~is_train] - len(train)
    rows = LabelledRows(
        bank=features.values[is_train].to(device),
        bank_labels=labels[is_train].to(device),
        bank_groups=numbered(train.groups or train.videos, features.rows[is_train]),
        queries=features.values[~is_train].to(device),
        truth=labels[~is_train],
        groups=numbered(val.groups or val.videos, val_rows),
        videos=numbered(val.videos, val_rows),
        num_classes=len(train.classes),
    )
    return score_rows(
        rows,
        command,
        seconds=seconds,
        begin=lambda what: progress.begin(f"{name}: {what}", counts=False),
        on_part=lambda note: progress.update(note=note),
    )


@dataclass(frozen=True, kw_only=True)
class LabelledRows:
    """Features with classes: ``bank`` is train and on the device of the work, as ``queries``."""

    bank: Float[Tensor, "n d"]
    bank_labels: Int64[Tensor, " n"]
    """On the device, too."""
    queries: Float[Tensor, "m d"]
    truth: Int64[Tensor, " m"]
    """Classes of the queries, on the CPU."""
    num_classes: int
    bank_groups: Int64[Tensor, " n"] | None = None
    groups: Int64[Tensor, " m"] | None = None
    """Groups of the queries; numbers of groups are on the CPU."""
    videos: Int64[Tensor, " m"] | None = None
    """Video of each query, from 0."""


def score_rows(
    rows: LabelledRows,
    command: EvaluateCommand,
    *,
    seconds: dict[str, float],
    begin: Callable[[str], None] = lambda what: None,
    on_part: Callable[[str], None] = lambda note: None,
) -> dict[str, Any]:
    """Return the accuracies of features in percent, as a row of the results has them.

    Args:
        rows: The features.
        command: Which protocols, and their settings.
        seconds: Gets the time of each protocol.
        begin: Is told each protocol as it begins.
        on_part: Is told each part of a protocol as it begins.
    """
    bank, bank_labels, bank_groups = rows.bank, rows.bank_labels, rows.bank_groups
    queries, truth, groups, videos = rows.queries, rows.truth, rows.groups, rows.videos
    num_classes = rows.num_classes
    begin("k-NN")
    began = time.monotonic()
    has_videos = videos is not None and _have_one_class(videos, truth)
    headline = command.tau[0], headline_k(command.k)
    predicted, votes = knn_predictions(
        bank,
        bank_labels,
        queries,
        k=command.k,
        tau=command.tau,
        num_classes=num_classes,
        scores_of=headline if has_videos else None,
    )
    right = {(f"{tau:g}", str(k)): found == truth for (tau, k), found in predicted.items()}
    scores: dict[str, Any] = {
        "knn_top1": _nested({key: share_right(hits) for key, hits in right.items()}),
        "knn_balanced": _nested(
            {key: balanced_accuracy(hits, truth) for key, hits in right.items()}
        ),
        "knn_interval": _nested({key: interval(hits, groups) for key, hits in right.items()}),
    } | _confusion("knn", predicted[headline], truth, num_classes)
    probabilities = {} if votes is None else {"knn": votes / votes.sum(dim=1, keepdim=True)}
    seconds["knn"] = time.monotonic() - began
    if command.linear:
        begin("linear probe")
        began = time.monotonic()
        probe = linear_probe(
            bank, bank_labels, queries,
            num_classes=num_classes, groups=bank_groups, seed=command.seed, on_fit=on_part,
        )  # fmt: skip
        hits = is_right(probe.scores, truth)
        scores["linear_top1"] = share_right(hits)
        scores["linear_balanced"] = balanced_accuracy(hits, truth)
        scores["linear_interval"] = interval(hits, groups)
        scores |= _confusion("linear", probe.scores.argmax(dim=1), truth, num_classes)
        if num_classes > 5:
            scores["linear_top5"] = top_accuracy(probe.scores, truth, top=5)
        scores["linear_decay"] = probe.decay
        scores["linear_held_out_top1"] = {
            str(decay): round(100 * accuracy, 4)
            for decay, accuracy in probe.held_out_accuracy.items()
        }
        if has_videos:
            probabilities["linear"] = probe.scores.softmax(dim=1)
        seconds["linear"] = time.monotonic() - began
    if has_videos:
        assert videos is not None
        scores["video_top1"] = {
            what: _video_top1(frames, videos, truth) for what, frames in probabilities.items()
        }
    if command.few_shot:
        begin("few shots")
        began = time.monotonic()
        draws = range(command.seed, command.seed + command.few_shot_draws)
        few = partial(_few_shots, bank, bank_labels, queries, truth, groups=bank_groups)
        drawn: dict[str, list[tuple[float, float]]] = {}
        for share in command.few_shot:
            drawn[f"{share:g}"] = []
            for n, seed in enumerate(draws, 1):
                on_part(f"{100 * share:g} %, {n} of {len(draws)} draws")
                drawn[f"{share:g}"].append(few(share=share, seed=seed))
        scores["few_shot_top1"] = {
            share: [top1 for top1, _ in some] for share, some in drawn.items()
        }
        scores["few_shot_per_class"] = {
            share: fmean(count for _, count in some) for share, some in drawn.items()
        }
        seconds["few_shot"] = time.monotonic() - began
    return scores


def _confusion(
    what: str, predicted: Int64[Tensor, " m"], truth: Int64[Tensor, " m"], num_classes: int
) -> dict[str, Any]:
    """Return the entry of the confusion matrix, or nothing where it would be too large."""
    if num_classes > MOST_CONFUSED:
        return {}
    matrix = confusion_matrix(predicted, truth, num_classes=num_classes)
    return {f"{what}_confusion": matrix.tolist()}


def headline_k(k: Sequence[int]) -> int:
    """Return the k of intervals and confusion matrices: 20 if it is in ``k``, else the last."""
    return HEADLINE_K if HEADLINE_K in k else k[-1]


def numbered(
    names: Sequence[str] | Sequence[int] | None, rows: Int64[Tensor, " m"]
) -> Int64[Tensor, " m"] | None:
    """Return a number for the name of each row, from 0, in the order of the names."""
    if names is None:
        return None
    names_of_rows = [names[row] for row in rows.tolist()]
    number = {name: n for n, name in enumerate(sorted(set(names_of_rows)))}
    return torch.tensor([number[name] for name in names_of_rows])


def _have_one_class(videos: Int64[Tensor, " m"], truth: Int64[Tensor, " m"]) -> bool:
    """Return whether the frames of each video have one class."""
    return len(torch.stack([videos, truth]).unique(dim=1).T) == len(videos.unique())


def _video_top1(
    probabilities: Float[Tensor, "m c"], videos: Int64[Tensor, " m"], truth: Int64[Tensor, " m"]
) -> dict[str, float]:
    """Return the accuracy over videos in percent, for each way to score a video."""
    labels = torch.zeros(int(videos.max()) + 1, dtype=torch.int64)
    labels[videos] = truth
    ways: tuple[Literal["mean", "max", "vote"], ...] = ("mean", "max", "vote")
    return {how: top_accuracy(video_scores(probabilities, videos, how=how), labels) for how in ways}


def _few_shots(
    bank: Float[Tensor, "n d"],
    labels: Int64[Tensor, " n"],
    queries: Float[Tensor, "m d"],
    truth: Int64[Tensor, " m"],
    *,
    groups: Int64[Tensor, " n"] | None,
    share: float,
    seed: int,
) -> tuple[float, float]:
    """Score a linear probe on a share of each class: at least one row, or one whole group.

    Returns:
        The accuracy in percent, and the mean number of rows of a class.

    NOTE: SimCLR and others fine-tune on such shares; here the backbone stays frozen.
    """
    rows = (
        stratified_part(labels.cpu(), share=share, seed=seed, leave_one=False)
        if groups is None
        else grouped_shots(labels.cpu(), groups, share=share, seed=seed)
    )
    probe = linear_probe(
        bank[rows.to(bank.device)],
        labels[rows.to(bank.device)],
        queries,
        num_classes=int(labels.max()) + 1,
        groups=None if groups is None else groups[rows],
        seed=seed,
    )
    return top_accuracy(probe.scores, truth), len(rows) / len(labels.unique())


def _nested(values: dict[tuple[str, str], Any]) -> dict[str, dict[str, Any]]:
    """Return {(a, b): v} as {a: {b: v}}."""
    nested: dict[str, dict[str, Any]] = {}
    for (outer, inner), value in values.items():
        nested.setdefault(outer, {})[inner] = value
    return nested
