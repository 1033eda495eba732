"""What is computed of the features of one backbone: k-NN, linear probe, few shots."""

import time
from typing import Any

import torch
from torch import Tensor

from vidmoco.evaluate.features import Features
from vidmoco.evaluate.images import LabelledImages
from vidmoco.evaluate.knn import weighted_knn
from vidmoco.evaluate.linear import linear_probe, stratified_part
from vidmoco.evaluate.progress import EvaluationProgress
from vidmoco.evaluate.scores import confusion_matrix, interval, is_right, top_accuracy
from vidmoco.evaluation_commands import EvaluateCommand
from vidmoco.shapes import Float, Int64


def score_features(
    features: Features,
    train: LabelledImages,
    val: LabelledImages,
    command: EvaluateCommand,
    *,
    device: torch.device,
    progress: EvaluationProgress,
    name: str,
    seconds: dict[str, float],
) -> dict[str, Any]:
    """Return the accuracies of one backbone, and add to ``seconds`` what each took."""
    is_train = features.rows < len(train)
    labels = torch.cat([train.labels, val.labels])[features.rows]
    bank, queries = features.values[is_train].to(device), features.values[~is_train].to(device)
    bank_labels, truth = labels[is_train].to(device), labels[~is_train]
    num_classes = len(train.classes)
    progress.begin(f"{name}: k-NN")
    began = time.monotonic()
    by_tau = {
        f"{tau:g}": weighted_knn(
            bank, bank_labels, queries, k=command.k, num_classes=num_classes, tau=tau
        )
        for tau in command.knn_tau
    }
    knn = {(tau, str(k)): s for tau, found in by_tau.items() for k, s in found.items()}
    scores: dict[str, Any] = {
        "knn_top1": _nested({key: top_accuracy(s, truth) for key, s in knn.items()}),
        "knn_interval": _nested({key: interval(is_right(s, truth)) for key, s in knn.items()}),
        "knn_confusion": confusion_matrix(next(iter(knn.values())), truth).tolist(),
    }
    seconds["knn"] = time.monotonic() - began
    if command.linear:
        progress.begin(f"{name}: linear probe")
        began = time.monotonic()
        probe = linear_probe(bank, bank_labels, queries, num_classes=num_classes, seed=command.seed)
        scores["linear_top1"] = top_accuracy(probe.scores, truth)
        scores["linear_interval"] = interval(is_right(probe.scores, truth))
        scores["linear_confusion"] = confusion_matrix(probe.scores, truth).tolist()
        if num_classes > 5:
            scores["linear_top5"] = top_accuracy(probe.scores, truth, top=5)
        scores["linear_decay"] = probe.decay
        scores["linear_held_out_top1"] = {
            str(decay): round(100 * accuracy, 4)
            for decay, accuracy in probe.held_out_accuracy.items()
        }
        seconds["linear"] = time.monotonic() - began
    if command.few_shot:
        progress.begin(f"{name}: few shots")
        began = time.monotonic()
        scores["few_shot_top1"] = {
            f"{share:g}": [
                _few_shots(bank, bank_labels, queries, truth, share=share, seed=command.seed + draw)
                for draw in range(command.few_shot_draws)
            ]
            for share in command.few_shot
        }
        seconds["few_shot"] = time.monotonic() - began
    return scores


def _few_shots(
    bank: Float[Tensor, "n d"],
    labels: Int64[Tensor, " n"],
    queries: Float[Tensor, "m d"],
    truth: Int64[Tensor, " m"],
    *,
    share: float,
    seed: int,
) -> float:
    """Return the accuracy of a linear probe that has seen a share of each class, one row at least.

    NOTE: SimCLR and others fine-tune on such shares; here the backbone stays frozen.
    """
    rows = stratified_part(labels.cpu(), share=share, seed=seed).to(bank.device)
    probe = linear_probe(
        bank[rows], labels[rows], queries, num_classes=int(labels.max()) + 1, seed=seed
    )
    return top_accuracy(probe.scores, truth)


def _nested(values: dict[tuple[str, str], Any]) -> dict[str, dict[str, Any]]:
    """Return {(a, b): v} as {a: {b: v}}."""
    nested: dict[str, dict[str, Any]] = {}
    for (outer, inner), value in values.items():
        nested.setdefault(outer, {})[inner] = value
    return nested
