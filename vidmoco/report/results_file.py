"""Read a results file of ``vidmoco evaluate``, and make the columns of its table."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from vidmoco.errors import ConfigError
from vidmoco.evaluate.results_table import FORMAT, has_unequal_classes, share_name
from vidmoco.json_text import read_json

# Expected types of the keys, if they exist: a type, [of each item], {key: of its value}. The key ""
# stands for any key.
_ROW = {
    "name": str,
    "knn_top1": {"": {"": float}},
    "knn_interval": {"": {"": [float]}},
    "knn_confusion": [[int]],
    "knn_balanced": {"": {"": float}},
    "linear_top1": float,
    "linear_balanced": float,
    "linear_top5": float,
    "linear_interval": [float],
    "linear_confusion": [[int]],
    "few_shot_top1": {"": [float]},
    "few_shot_per_class": {"": float},
    "finetune": {"": {"epochs": [{"": float}]}},
    "video_top1": {"": {"": float}},
}
_JUDGES = {"knn": "k-NN", "linear": "linear probe"}
_WHOLE = {
    "images": str,
    "command": str,
    "classes": [str],
    "num_train": int,
    "num_val": int,
    "num_val_by_class": [int],
    "refused": [{"": str}],
    "notes": [str],
    "rows": [{}],
    "settings": {"k": [int], "knn_tau": [float], "few_shot": [float]},
}


@dataclass(frozen=True)
class Column:
    """A column of a table, with a cell per backbone."""

    group: str
    """The kind of score, such as ``k-NN``."""
    title: str
    values: list[float | None]
    """Percent; None if not measured."""
    ends: list[tuple[float, float] | None]
    """The 95 % interval of each value, if it has one."""
    spread: list[str] = field(default_factory=list)
    """Texts below the values, in place of intervals."""

    @property
    def notes(self) -> list[str]:
        """The texts below the values."""
        if self.spread:
            return self.spread
        return [f"{ends[0]:.1f}–{ends[1]:.1f}" if ends else "" for ends in self.ends]

    @property
    def shown(self) -> list[str]:
        """The values as printed."""
        return ["" if value is None else f"{value:.1f}" for value in self.values]

    @property
    def is_best(self) -> list[bool]:
        """Whether each is the best value as printed: 41.62 and 41.58 are both 41.6."""
        known = [float(text) for text in self.shown if text]
        if len(known) < 2:
            return [False] * len(self.values)
        return [bool(text) and float(text) == max(known) for text in self.shown]


def read_results(path: Path) -> dict[str, Any]:
    """Return the content of a results file of ``vidmoco evaluate``.

    Raises:
        ConfigError: the file is not a results file, has another format, or is damaged.
    """
    return checked_results(path, content_of(path))


def content_of(path: Path) -> Any:
    """Return the content of a JSON file that may hold results.

    Raises:
        ConfigError: it has another suffix, cannot be read, or is not JSON.
    """
    if path.suffix.lower() != ".json":
        raise ConfigError(
            f"{path} is not a results file: those of `vidmoco evaluate` have the suffix .json."
        )
    try:
        if path.is_file() and path.stat().st_size < 8 and not path.read_bytes().strip():
            raise ConfigError(
                f"{path} is empty; expected a results file of `vidmoco evaluate`. Evaluate again."
            )
        return read_json(path, parse_constant=_refuse_constant)
    except FileNotFoundError as error:
        raise ConfigError(
            f"There is no results file at {path}: `vidmoco evaluate` writes one."
        ) from error
    except ConfigError:
        raise
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path} cannot be read as JSON: {error}. Expected a results file of `vidmoco "
            "evaluate`; evaluate again if it is damaged."
        ) from error


def checked_results(path: Path, content: Any) -> dict[str, Any]:
    """Return the content of ``path`` if it is a results file of ``vidmoco evaluate``.

    Raises:
        ConfigError: it is not, has another format, or is damaged.
    """
    results: dict[str, Any] = content if isinstance(content, dict) else {}
    if not {"format", "rows", "settings"} <= results.keys():
        other = {"detector", "ap"} <= results.keys()
        what = ", but of `vidmoco evaluate-detection`" if other else ""
        raise ConfigError(f"{path} is JSON, but not a results file of `vidmoco evaluate`{what}.")
    if results["format"] != FORMAT:
        raise ConfigError(
            f"{path} is a results file of format {results['format']!r}, written by vidmoco "
            f"{results.get('vidmoco', '?')}; this vidmoco reads format {FORMAT}. Evaluate "
            "again, or use the vidmoco that wrote it."
        )
    results = {"classes": [], "refused": [], "notes": [], **results}
    problem = _misfit(results, _WHOLE, "") or _missing(results)
    for n, row in enumerate([] if problem else results["rows"]):
        problem = problem or _misfit(row, _ROW, f"rows[{n}]")
        problem = problem or ("" if "name" in row else f"rows[{n}] has no name")
    if problem:
        raise ConfigError(f"{path} is damaged: {problem}. Evaluate again.")
    return results


def knn_columns(rows: Sequence[dict[str, Any]], tau: str) -> list[Column]:
    """Return the k-NN columns of a temperature, in the file's order of k."""
    columns = []
    for k in _keys([row.get("knn_top1", {}) for row in rows], tau):
        values = [row.get("knn_top1", {}).get(tau, {}).get(k) for row in rows]
        ends = [_two(row.get("knn_interval", {}).get(tau, {}).get(k)) for row in rows]
        columns.append(Column(f"k-NN, τ = {tau}", f"k = {k}", values, ends))
    return columns


def other_columns(results: dict[str, Any]) -> list[Column]:
    """Return the columns of all other scores that some backbone has.

    Balanced accuracies are among them where the classes of val are unequal, as in what ``evaluate``
    prints.
    """
    rows, uneven = results["rows"], has_unequal_classes(results)
    none: list[tuple[float, float] | None] = [None] * len(rows)
    ends = [_two(row.get("linear_interval")) for row in rows]
    columns = [
        Column("linear probe", "top-1", [row.get("linear_top1") for row in rows], ends),
        Column("linear probe", "balanced", [row.get("linear_balanced") for row in rows], none),
        Column("linear probe", "top-5", [row.get("linear_top5") for row in rows], none),
    ]
    for tau in _keys(rows, "knn_balanced")[:1]:
        by_k = [row.get("knn_balanced", {}).get(tau, {}) for row in rows]
        ks = list(dict.fromkeys(chain(*by_k)))
        for k in ["20"] if "20" in ks else ks[-1:]:
            found = [one.get(k) for one in by_k]
            if found != [row.get("knn_top1", {}).get(tau, {}).get(k) for row in rows]:
                columns.append(Column(f"k-NN, τ = {tau}", f"k = {k}, balanced", found, none))
    for share in _keys(rows, "few_shot_top1"):
        draws = [row.get("few_shot_top1", {}).get(share) or [] for row in rows]
        spread = [f"± {stdev(some):.1f}" if len(some) > 1 else "" for some in draws]
        means = [fmean(some) if some else None for some in draws]
        columns.append(Column("few shots", share_name(rows, share), means, none, spread))
    for rule in _keys(rows, "finetune"):
        for key, title in (("top1", "top-1"), ("balanced", "balanced"), ("top5", "top-5")):
            found = [_last(row.get("finetune", {}).get(rule), key) for row in rows]
            columns.append(Column("fine-tuned", f"{rule}, {title}", found, none))
    for judge in _keys(rows, "video_top1"):
        judged = [row.get("video_top1", {}) for row in rows]
        for name in _keys(judged, judge):
            found = [one.get(judge, {}).get(name) for one in judged]
            columns.append(Column(f"whole videos, {_JUDGES.get(judge, judge)}", name, found, none))
    return [
        column
        for column in columns
        if any(value is not None for value in column.values)
        and (uneven or not column.title.endswith("balanced"))
    ]


def _last(curve: dict[str, Any] | None, key: str) -> float | None:
    """Return the final score of a fine-tuning, or that of its last epoch."""
    if not curve:
        return None
    epochs = curve.get("epochs") or [{}]
    value = curve.get(key, epochs[-1].get(key))
    return value if isinstance(value, int | float) else None


def _keys(rows: Sequence[dict[str, Any]], name: str) -> list[str]:
    """Return the keys that any row has under ``name``, in their order."""
    return list(dict.fromkeys(key for row in rows for key in row.get(name, {})))


def _missing(results: dict[str, Any]) -> str:
    """Return which required keys are missing, or an empty string."""
    if not results["rows"]:
        return "it has no rows"
    missing = [key for key in ("images", "command", "num_train", "num_val") if key not in results]
    missing += [] if results["classes"] else ["classes"]
    missing += [
        f"settings.{key}"
        for key in ("k", "knn_tau", "headline_k")
        if not results["settings"].get(key)
    ]
    return f"it has no {' and no '.join(missing)}" if missing else ""


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number of JSON")


def _two(ends: Sequence[float] | None) -> tuple[float, float] | None:
    return (ends[0], ends[1]) if ends and len(ends) == 2 else None


def _misfit(value: Any, shape: Any, at: str) -> str:
    """Return where a value does not have the expected shape, or an empty string."""
    here = at or "it"
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return f"{here} is not a mapping"
        for name, item in value.items():
            inner = shape.get(name, shape.get(""))
            problem = _misfit(item, inner, f"{at}.{name}".lstrip(".")) if inner else ""
            if problem:
                return problem
        return ""
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{here} is not a list"
        return next((m for item in value if (m := _misfit(item, shape[0], at))), "")
    kinds = int | float if shape is float else shape
    fits = isinstance(value, kinds) and not isinstance(value, bool)
    return "" if fits else f"{here} has {value!r}, expected {shape.__name__}"
