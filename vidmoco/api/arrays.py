"""Features of one's own in memory, judged."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vidmoco.config.evaluation import EvaluateCommand
from vidmoco.config.fields import KNN_K, KNN_TAU
from vidmoco.config.plain import from_python
from vidmoco.device import resolve_device
from vidmoco.errors import ConfigError
from vidmoco.evaluate.protocols import LabelledRows, numbered, score_rows
from vidmoco.shapes import Float, Int64
from vidmoco.text import first_of


def evaluate_features(
    train: Any,
    train_labels: Any,
    val: Any,
    val_labels: Any,
    *,
    train_groups: Any = None,
    val_groups: Any = None,
    k: int | Sequence[int] = KNN_K,
    tau: float | Sequence[float] = (KNN_TAU, 0.1),
    linear: bool = True,
    few_shot: float | Sequence[float] = (),
    few_shot_draws: int = 3,
    seed: int = 0,
    device: str = "auto",
) -> dict[str, Any]:
    """Score features of one's own by k-NN and a linear probe, as ``vidmoco evaluate`` does.

        row = vidmoco.evaluate_features(train, train_labels, val, val_labels)
        row["knn_top1"]["0.07"]["20"], row["linear_top1"]

    Args:
        train: Features (N, D), an array of floating point, a tensor or a list of lists.
        train_labels: Their N classes: whole numbers or strings.
        val: Features (M, D) to score.
        val_labels: Their M classes. Each has rows in train.
        train_groups: The group of each row of train, such as its video: whole numbers or strings.
            The weight decay and the few shots then are chosen by whole groups.
        val_groups: The group of each row of val. Intervals then draw whole groups. Both parts have
            groups, or none; a group is in one part only.
        k: Numbers of neighbours.
        tau: Temperatures of the k-NN.
        linear: Fit the linear probe too.
        few_shot: Also fit it on these shares of train.
        few_shot_draws: Number of random draws of each share.
        seed: Of the held-out part of train and of the draws.
        device: Where the work is done: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Returns:
        What a row of ``results.json`` has of the scores: ``knn_top1``, ``linear_top1`` … in percent
        (docs/evaluation.md), and ``seconds``. Besides these ``classes``, the sorted classes of
        train, in whose order the confusion matrices are.

    Raises:
        ConfigError: Features, labels, groups or a setting cannot be used.
    """
    settings: dict[str, Any] = {
        "k": k,
        "tau": tau,
        "linear": linear,
        "few_shot": few_shot,
        "seed": seed,
    }
    settings |= {"few_shot_draws": few_shot_draws, "device": device}
    # Neither is opened: the features are there.
    unused = {"images": Path(), "backbone": ("features",)}
    command = from_python(EvaluateCommand, unused | settings)
    there = resolve_device(command.device)
    bank, queries = _features(train, "train"), _features(val, "val")
    if bank.shape[1] != queries.shape[1]:
        raise ConfigError(
            f"train has {bank.shape[1]} features a row and val {queries.shape[1]}; expected "
            "features of one backbone."
        )
    known, asked = (
        _names(labels, f"{part}_labels", len(rows))
        for part, labels, rows in (("train", train_labels, bank), ("val", val_labels, queries))
    )
    classes = sorted(set(known))
    if len(classes) < 2:
        raise ConfigError(f"train_labels has one class only ({classes[0]!r}); it needs two.")
    if unknown := [str(name) for name in sorted(set(asked) - set(classes))]:
        raise ConfigError(
            f"val_labels has classes that train_labels has not: {first_of(unknown, 8)}. "
            "Leave their rows out, or add some to train."
        )
    groups = _groups(train_groups, val_groups, len(bank), len(queries))
    number = {name: label for label, name in enumerate(classes)}
    labels = [torch.tensor([number[name] for name in names]) for names in (known, asked)]
    seconds: dict[str, float] = {}
    rows = LabelledRows(
        bank=bank.to(there),
        bank_labels=labels[0].to(there),
        bank_groups=groups[0],
        queries=queries.to(there),
        truth=labels[1],
        groups=groups[1],
        num_classes=len(classes),
    )
    return score_rows(rows, command, seconds=seconds) | {"classes": classes, "seconds": seconds}


def _features(values: Any, what: str) -> Float[Tensor, "n d"]:
    """Return features as a float32 tensor, or refuse what is none."""
    try:
        rows = torch.as_tensor(values if isinstance(values, Tensor) else np.asarray(values))
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{what} is no array of features ({error}); expected floating point (N, D)."
        ) from error
    if rows.ndim != 2 or not rows.is_floating_point() or not rows.numel():
        raise ConfigError(
            f"{what} is {str(rows.dtype).removeprefix('torch.')} {tuple(rows.shape)}; expected "
            "features of floating point, (N, D)."
        )
    rows = rows.detach().float()
    if num_bad := int((~torch.isfinite(rows).all(dim=1)).sum()):
        raise ConfigError(f"{what} has {num_bad:,} rows that are not finite. Leave them out.")
    return rows


def _names(values: Any, what: str, count: int) -> list[Any]:
    """Return labels or groups as a list, or refuse them."""
    names: list[Any] = values.tolist() if isinstance(values, Tensor | np.ndarray) else list(values)
    if len(names) != count:
        raise ConfigError(f"{what} has {len(names):,} entries for {count:,} rows of features.")
    kind = str if isinstance(names[0], str) else int
    odd = [name for name in names if not isinstance(name, kind) or isinstance(name, bool)]
    if odd:
        raise ConfigError(f"{what} has {odd[0]!r}; expected whole numbers alone, or strings alone.")
    return names


def _groups(
    train: Any, val: Any, num_train: int, num_val: int
) -> tuple[Int64[Tensor, " n"] | None, Int64[Tensor, " m"] | None]:
    """Return the numbers of the groups, or None for both parts."""
    if train is None and val is None:
        return None, None
    if train is None or val is None:
        raise ConfigError(
            "Only one of train_groups and val_groups is given, so it is unknown whether a group is "
            "in both parts. Give both, or none."
        )
    mine, others = _names(train, "train_groups", num_train), _names(val, "val_groups", num_val)
    if shared := set(mine) & set(others):
        raise ConfigError(
            f"{len(shared):,} groups are in both train_groups and val_groups, such as "
            f"{min(shared)!r}. Their rows are near-copies, and the accuracy would measure memory. "
            "Put all of a group into one part."
        )
    return numbered(mine, torch.arange(num_train)), numbered(others, torch.arange(num_val))
