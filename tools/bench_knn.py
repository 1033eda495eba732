#!/usr/bin/env python
"""Time the k-NN evaluation and scikit-learn's on the same features.

    python tools/bench_knn.py images/ --backbone runs/latest --size 64

Features are computed once and cached. Then ``knn_predictions`` and scikit-learn's
``KNeighborsClassifier`` (brute force, cosine, the same weights) classify all val images in turn.
The table has the medians of the rounds; the share of equal predictions follows.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal

import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table
from sklearn.neighbors import KNeighborsClassifier
from tyro.conf import Positional

from vidmoco.console import say
from vidmoco.errors import VidmocoError
from vidmoco.evaluate.candidates import load_candidates
from vidmoco.evaluate.feature_cache import (
    features_key,
    hash_of_images,
    load_features,
    save_features,
)
from vidmoco.evaluate.features import compute_features, image_loader
from vidmoco.evaluate.knn import knn_predictions
from vidmoco.evaluate.scores import share_right
from vidmoco.images.load import load_labelled_images


@dataclass(frozen=True, kw_only=True)
class BenchKnn:
    """Time the k-NN evaluation and scikit-learn's on the same features."""

    images: Positional[Path]
    """As for `vidmoco evaluate`."""
    backbone: str
    """As for `vidmoco evaluate`."""
    size: int | None = None
    """Input size in pixels."""
    precision: Literal["bf16", "fp32"] = "bf16"
    """Arithmetic of the backbone."""
    k: int = 200
    """Number of neighbours."""
    tau: float = 0.07
    """Temperature of their weights."""
    rounds: int = 3
    """Number of measurements of each."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run, and return 0, or 2 for the user's mistake."""
    try:
        return bench(tyro.cli(BenchKnn, args=argv))
    except VidmocoError as error:
        print(f"bench_knn: {error}", file=sys.stderr)
        return 2


def bench(command: BenchKnn) -> int:
    """Measure and print."""
    bank, labels, queries, truth, num_classes, seconds = read_features(command)

    def ours() -> torch.Tensor:
        found, _ = knn_predictions(
            bank, labels, queries, k=[command.k], num_classes=num_classes, tau=[command.tau]
        )
        return found[command.tau, command.k]

    def scikit_learn() -> torch.Tensor:
        classifier = KNeighborsClassifier(
            command.k, algorithm="brute", metric="cosine", n_jobs=-1,
            weights=lambda distance: np.exp(-distance / command.tau),
        )  # fmt: skip
        classifier.fit(bank.numpy(), labels.numpy())
        return torch.from_numpy(classifier.predict(queries.numpy()))

    times: dict[str, list[float]] = {"vidmoco": [], "scikit-learn": []}
    predicted = {}
    for _ in range(command.rounds):
        for name, run in (("vidmoco", ours), ("scikit-learn", scikit_learn)):
            began = time.perf_counter()
            predicted[name] = run()
            times[name].append(time.perf_counter() - began)
    table = Table(title=f"{len(bank)} train, {len(queries)} val, {bank.shape[1]} features")
    for title in ("k-NN", "seconds", "ratio", "top-1"):
        table.add_column(title, justify="right")
    base = median(times["scikit-learn"])
    for name, found in predicted.items():
        mine = median(times[name])
        top1 = share_right(found == truth)
        table.add_row(name, f"{mine:.2f}", f"{base / mine:.2f}", f"{top1:.2f}")
    same = (predicted["vidmoco"] == predicted["scikit-learn"]).double().mean()
    console = Console()
    console.print(table)
    say(console, f"features: {seconds:.1f} s; equal predictions for {100 * same:.2f} %")
    return 0


def read_features(
    command: BenchKnn,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, int, float]:
    """Return features and classes of train and val, the number of classes, and the seconds."""
    train, val = load_labelled_images(command.images)
    (candidate,) = load_candidates(
        [command.backbone], size=command.size, precision=command.precision
    )
    began = time.perf_counter()
    key = features_key(candidate, hash_of_images([train, val]), device_type="cpu")
    features, _ = load_features(key)
    if features is None:
        loader = image_loader([train, val], candidate.preprocess, batch_size=256, workers=0)
        candidate.move_to(torch.device("cpu"))
        features = compute_features(candidate, loader)
        save_features(features, key)
    seconds = time.perf_counter() - began
    is_train = features.rows < len(train)
    labels = torch.cat([train.labels, val.labels])[features.rows]
    return (
        features.values[is_train], labels[is_train], features.values[~is_train],
        labels[~is_train], len(train.classes), seconds,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
