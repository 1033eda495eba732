"""The numbers of an ablation: means over seeds, their spread, and paired differences."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from vidmoco.ablation.plan import Plan, Row

Scores = Mapping[tuple[str, int], Mapping[str, Mapping[str, float]]]
"""Accuracies in percent, by (row, seed), then judge, then title. A frozen row's are those of any
seed."""

# Quantiles 0.975 of Student's t, by degrees of freedom from 1 to 30.
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
      2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
      2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042)  # fmt: skip


def summarise(plan: Plan, scores: Scores, steps: Mapping[str, int]) -> dict[str, Any]:
    """Return the content of table.json.

    ``rows`` has for each row and column the values of its seeds, their mean and their standard
    deviation. ``differences`` has for each pair of ``compare`` the differences of equal seeds,
    their mean, and its 95 % interval by Student's t, or None for fewer than two seeds.
    """
    columns = _columns(plan, scores)
    return {
        "columns": [list(column) for column in columns],
        "rows": [
            {
                "row": row.name,
                "steps": steps.get(row.name),
                "columns": [spread_of(_values(scores, row, column)) for column in columns],
            }
            for row in plan.rows
        ],
        "differences": [
            {
                "rows": [a, b],
                "columns": [_difference(scores, a, b, column) for column in columns],
            }
            for a, b in plan.compare
        ],
    }


def spread_of(values: Sequence[float]) -> dict[str, Any]:
    """Return values with their mean and standard deviation, or None for too few of them."""
    return {
        "values": list(values),
        "mean": fmean(values) if values else None,
        "deviation": stdev(values) if len(values) > 1 else None,
    }


def interval_of_mean(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % interval of the mean by Student's t, or None for fewer than two values."""
    if len(values) < 2:
        return None
    free = len(values) - 1
    half = _T[min(free, len(_T)) - 1] * stdev(values) / math.sqrt(len(values))
    return fmean(values) - half, fmean(values) + half


def _difference(scores: Scores, a: str, b: str, column: tuple[str, str]) -> dict[str, Any]:
    """Return the differences of two rows, of the seeds that both have."""
    first, second = (_by_seed(scores, name, column) for name in (a, b))
    values = [first[seed] - second[seed] for seed in sorted(first.keys() & second.keys())]
    return spread_of(values) | {"interval": interval_of_mean(values)}


def _values(scores: Scores, row: Row, column: tuple[str, str]) -> list[float]:
    """Return a row's values: of each seed, or the one of a frozen backbone."""
    values = list(_by_seed(scores, row.name, column).values())
    return values[:1] if row.frozen else values


def _by_seed(scores: Scores, row: str, column: tuple[str, str]) -> dict[int, float]:
    judge, title = column
    return {
        seed: found[judge][title]
        for (name, seed), found in sorted(scores.items())
        if name == row and title in found.get(judge, {})
    }


def _columns(plan: Plan, scores: Scores) -> list[tuple[str, str]]:
    """Return judge and title of each column, in the order of the plan."""
    titles: dict[str, dict[str, None]] = {judge.name: {} for judge in plan.judges}
    for found in scores.values():
        for judge, values in found.items():
            titles[judge] |= dict.fromkeys(values)
    return [(judge, title) for judge, known in titles.items() for title in known]
