"""The file of an ablation: what is trained, for how long, and what judges it.

    videos: [frames/]            # as for `vidmoco pretrain`
    recipe: vidmoco              # of all rows; the default is the device's
    settings: {data: {max_gap: 1.5}}                # of all rows, in place of the recipe's
    seeds: [0, 1, 2]
    minutes: 12                  # or `steps: 1155`
    rows:
      pairs: {}
      control: {data: {single_frame: true}}
      moco: {recipe: moco_v2, method: {queue_size: 1024}}
      others: {backbone: {weights: resnet18.a1_in1k}}
      untrained: {frozen: random}                   # judged without training
    compare: [[pairs, control], [moco, pairs]]      # differences to show
    judges:
      cifar10: {images: data/cifar10, k: [20], max_train_per_class: 500}

A row has the sections of a recipe, or ``recipe``, ``steps``, ``minutes`` or ``videos`` of its own.
A judge has the settings of `vidmoco evaluate`, and ``overlap: true`` if it shows videos that are
trained on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vidmoco.config.evaluation import EvaluateCommand
from vidmoco.config.plain import build_settings
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.config.recipe import default_recipe, load_recipe, with_settings
from vidmoco.config.yaml_text import MAX_BYTES, read_yaml
from vidmoco.errors import ConfigError, nearest
from vidmoco.text import read_text

_KEYS = ("videos", "recipe", "settings", "seeds", "steps", "minutes", "rows", "compare", "judges")
_MOST_BYTES = 200  # of a name: file systems take 255, and a run's has the seed behind it
_NAME = "letters, digits, spaces and any of _ + . - ( ) , %"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the table: a training, or a backbone that is judged as it is."""

    name: str
    config: PretrainConfig
    """The training's settings, with seed 0 and without a length."""
    frozen: str = ""
    """The backbone that is judged without training, or empty."""
    steps: int | None = None
    minutes: float | None = None
    """The budget: one of the two."""


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Labelled images, and how features are measured on them."""

    name: str
    settings: dict[str, Any]
    """Of ``EvaluateCommand``, without ``backbone`` and ``output``."""
    overlap: bool = False
    """Whether its videos may be among those of the training."""

    def command(self, backbone: str) -> EvaluateCommand:
        """Return the evaluation of one backbone."""
        return build_settings(EvaluateCommand, self.settings | {"backbone": [backbone]}, at="")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """An ablation."""

    rows: tuple[Row, ...]
    seeds: tuple[int, ...]
    judges: tuple[Judge, ...]
    compare: tuple[tuple[str, str], ...] = ()
    """Pairs of rows whose differences are shown: the first minus the second."""


def load_plan(path: Path) -> Plan:
    """Return the ablation of a YAML file.

    Raises:
        ConfigError: the file does not exist, or a key or a value in it cannot be used.
    """
    if not path.is_file():
        raise ConfigError(f"There is no file {path}.")
    data = read_yaml(read_text(path, what="ablation", most_bytes=MAX_BYTES), source=str(path))
    try:
        return _plan(data)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _plan(data: Any) -> Plan:
    data = _mapping(data, "the file")
    _require_known(data, _KEYS, "")
    rows = _mapping(data.get("rows"), "rows")
    judges = _mapping(data.get("judges"), "judges")
    if not rows or not judges:
        raise ConfigError("there must be at least one row under 'rows' and one under 'judges'.")
    found = tuple(_row(str(name), _mapping(row, name), data) for name, row in rows.items())
    return Plan(
        rows=found,
        seeds=_seeds(data.get("seeds", [0])),
        judges=tuple(_judge(str(name), _mapping(one, name)) for name, one in judges.items()),
        compare=_compare(data.get("compare", []), [row.name for row in found]),
    )


def _row(name: str, given: dict[str, Any], common: dict[str, Any]) -> Row:
    _require_name(name)
    at = f"row {name!r}"
    own = dict(given)
    frozen = own.pop("frozen", "")
    if not isinstance(frozen, str) or (frozen and own):
        raise ConfigError(f"{at}: 'frozen' is a backbone's name or path, and stands alone.")
    budget = {key: own.pop(key, None) for key in ("steps", "minutes")}
    if budget == {"steps": None, "minutes": None}:
        budget = {key: common.get(key) for key in budget}
    if not frozen:
        _require_budget(budget, at)
    recipe = own.pop("recipe", common.get("recipe")) or default_recipe()
    videos = own.pop("videos", common.get("videos")) or []
    if not frozen and not videos:
        raise ConfigError(f"{at} has no videos. Give 'videos', a list of paths, for all rows.")
    settings = _merged(_mapping(common.get("settings"), "settings"), own)
    for key in ("seed", "epochs", "steps", "videos"):
        if key in settings:
            raise ConfigError(
                f"{at}: {key!r} is given by 'seeds', 'steps', 'minutes' and 'videos', beside "
                "'settings'."
            )
    try:
        config = with_settings(
            load_recipe(str(recipe)),
            settings | {"videos": [videos] if isinstance(videos, str) else videos},
        )
    except ConfigError as error:
        raise ConfigError(f"{at}: {error}") from error
    return Row(name=name, config=replace(config, steps=None), frozen=frozen, **budget)


def _judge(name: str, given: dict[str, Any]) -> Judge:
    _require_name(name)
    settings = dict(given)
    overlap = settings.pop("overlap", False)
    if not isinstance(overlap, bool):
        raise ConfigError(f"judge {name!r}: 'overlap' is {overlap!r}; it must be true or false.")
    for key in ("backbone", "output"):
        if key in settings:
            raise ConfigError(f"judge {name!r}: the ablation gives {key!r}. Leave it out.")
    judge = Judge(name=name, settings=settings, overlap=overlap)
    try:
        judge.command("random")
    except ConfigError as error:
        raise ConfigError(f"judge {name!r}: {error}") from error
    return judge


def _seeds(given: Any) -> tuple[int, ...]:
    is_list = isinstance(given, list) and all(type(one) is int and one >= 0 for one in given)
    if not is_list or not given or len(set(given)) != len(given):
        raise ConfigError(f"'seeds' is {given!r}; it must be a list of different whole numbers.")
    return tuple(given)


def _compare(given: Any, names: list[str]) -> tuple[tuple[str, str], ...]:
    if not isinstance(given, list) or not all(
        isinstance(pair, list) and len(pair) == 2 for pair in given
    ):
        raise ConfigError(f"'compare' is {given!r}; it must be a list of [row, row].")
    for name in (str(name) for pair in given for name in pair):
        if name not in names:
            raise ConfigError(f"'compare' names the row {name!r}.{nearest(name, names)}")
    return tuple((str(a), str(b)) for a, b in given)


def _require_budget(budget: Mapping[str, Any], at: str) -> None:
    steps, minutes = budget["steps"], budget["minutes"]
    if (steps is None) == (minutes is None):
        raise ConfigError(f"{at}: give either 'steps' or 'minutes'.")
    if steps is not None and (type(steps) is not int or steps < 1):
        raise ConfigError(f"{at}: 'steps' is {steps!r}; it must be a whole number, 1 or more.")
    is_number = isinstance(minutes, int | float) and not isinstance(minutes, bool)
    if minutes is not None and not (is_number and 0 < minutes < 1e6):
        raise ConfigError(f"{at}: 'minutes' is {minutes!r}; it must be a number above 0.")


def _require_name(name: str) -> None:
    if not name or not all(c.isalnum() or c in " _+.-(),%" for c in name) or set(name) <= set("."):
        raise ConfigError(f"the name {name!r} cannot be a folder's: take {_NAME}.")
    if (length := len(name.encode())) > _MOST_BYTES:
        raise ConfigError(
            f"the name {name[:20]!r} … cannot be a folder's: it has {length} bytes; take at most "
            f"{_MOST_BYTES}."
        )


def _require_known(data: Mapping[str, Any], known: tuple[str, ...], at: str) -> None:
    for key in data:
        if key not in known:
            raise ConfigError(
                f"unknown key {key!r}.{nearest(str(key), known)} Known{at}: {', '.join(known)}."
            )


def _mapping(value: Any, what: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{what!r} is {value!r}; it must be a mapping.")
    return value


def _merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Return both settings; those of the second win, section by section."""
    merged = dict(first)
    for key, value in second.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = {**merged[key], **value} if both else value
    return merged
