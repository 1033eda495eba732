"""Recipes: from strict YAML to a config and back.

A recipe is a plain mapping of the config's fields, without interpolation or class paths. A field
that a recipe leaves out keeps its default, or the value of another recipe that it begins with
(``recipe: vidmoco``). An unknown key, a wrong type and a value out of range each raise
``ConfigError``, which names the key.
"""

import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from vidmoco.config.command_line import flag_words
from vidmoco.config.fields import EVERYDAY
from vidmoco.config.method_settings import MethodSettings
from vidmoco.config.methods import METHOD_CONFIGS
from vidmoco.config.plain import build_settings, nested, require_known, to_plain
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.config.yaml_text import MAX_BYTES, read_yaml
from vidmoco.cores import sees_gpu
from vidmoco.errors import ConfigError, nearest
from vidmoco.run_folder import CONFIG
from vidmoco.text import read_text
from vidmoco.urls import expanded

_SUFFIXES = (".yaml", ".yml")


def default_recipe(device: str = "auto") -> str:
    """Return the recipe of a training on ``device`` that names none."""
    on_gpu = sees_gpu() if device == "auto" else device.startswith("cuda")
    return "vidmoco_gpu" if on_gpu else "vidmoco"


def load_recipe(name_or_path: str | os.PathLike[str]) -> PretrainConfig:
    """Return the config of a shipped recipe, such as ``vidmoco``, of a YAML file or of a run.

    Args:
        name_or_path: a name, a ``.yaml`` file, or a run folder, which means its ``config.yaml``.

    Raises:
        ConfigError: the recipe does not exist or is not valid.
    """
    return _load(name_or_path, ())


def _load(name_or_path: Any, above: tuple[str, ...]) -> PretrainConfig:
    """Load a recipe with which each of those ``above`` begins, from the first one down."""
    if not isinstance(name_or_path, str | os.PathLike):
        raise ConfigError(
            f"The recipe is of type {type(name_or_path).__name__}; expected a name, or the path of "
            "a .yaml file or of a run."
        )
    name_or_path, shipped = os.fspath(name_or_path), shipped_recipes()
    path = expanded(Path(name_or_path))
    if name_or_path not in shipped and (path / CONFIG).is_file():
        path = path / CONFIG
    if path.suffix in _SUFFIXES:
        if not path.is_file():
            raise ConfigError(f"There is no recipe file {path}.")
        text = read_text(path, what="recipe", most_bytes=MAX_BYTES)
        return _parse(text, source=str(path), above=above)
    if name_or_path not in shipped:
        raise ConfigError(
            f"Unknown recipe {name_or_path!r}.{nearest(name_or_path, shipped)} Shipped recipes: "
            f"{', '.join(shipped)}. The path of a .yaml file or of a run is a recipe too."
        )
    return parse_recipe(shipped[name_or_path].read_text(encoding="utf-8"), source=name_or_path)


def shipped_recipes() -> dict[str, Path]:
    """Return the recipes of the wheel, or of ``configs/`` in a checkout, as name to file."""
    package = Path(str(resources.files("vidmoco")))
    folder = package / "configs"
    if not folder.is_dir():
        folder = package.parent / "configs"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def parse_recipe(text: str, *, source: str) -> PretrainConfig:
    """Return the config that YAML ``text`` describes. Errors name ``source``.

    A path of the recipe that it begins with is relative to the folder of ``source``.
    """
    return _parse(text, source=source, above=())


def _parse(text: str, *, source: str, above: tuple[str, ...]) -> PretrainConfig:
    data = read_yaml(text, source=f"Recipe {source}")
    if source in above:
        raise ConfigError(f"Recipe {source} begins with itself: {' -> '.join((*above, source))}.")
    try:
        if not isinstance(data, dict) or "recipe" not in data:
            return config_from_plain({} if data is None else data)
        first = data.pop("recipe")
        if isinstance(first, str) and first not in shipped_recipes():
            near = Path(source).parent / expanded(Path(first))
            first = str(near) if near.exists() or near.suffix in _SUFFIXES else first
        return with_settings(_load(first, (*above, source)), data)
    except ConfigError as error:
        raise ConfigError(f"Recipe {source}: {error}") from error


def config_from_plain(data: Any) -> PretrainConfig:
    """Return the config that ``to_plain`` made ``data`` of, or a part of it."""
    return build_settings(PretrainConfig, data, at="")


def dump_recipe(config: PretrainConfig) -> str:
    """Return YAML from which ``parse_recipe`` makes an equal config."""
    return yaml.safe_dump(to_plain(config), sort_keys=False, allow_unicode=True)


def changed_values(config: PretrainConfig, other: PretrainConfig) -> dict[str, tuple[Any, Any]]:
    """Return both values of each setting that differs, by its dotted name, sorted."""
    own, others = flat_settings(config), flat_settings(other)
    return {
        name: (own.get(name), others.get(name))
        for name in sorted({*own, *others})
        if own.get(name) != others.get(name)
    }


_SHORT = {
    name: section
    for section, kind in get_type_hints(PretrainConfig).items()
    if is_dataclass(kind)
    for name, hint in get_type_hints(kind, include_extras=True).items()
    if EVERYDAY in getattr(hint, "__metadata__", ())
}
"""The section of each setting that has a flag without a section."""


_NAMED = {
    "backbone": "A network in memory: to begin with its weights, vidmoco.save_backbone(network, "
    "FOLDER, size=PIXELS) and name FOLDER. To train a network of your own, register it with timm "
    "and name it (docs/guides/model.md).",
    "method": f"Methods: {', '.join(METHOD_CONFIGS)}.",
}
"""The sections that may be given by name, and what else to do."""


def with_settings(
    config: PretrainConfig,
    settings: Mapping[str, Any],
    *,
    call: Callable[..., Any] | None = None,
) -> PretrainConfig:
    """Return ``config`` with other settings, given as Python has them.

    Args:
        config: what the settings replace.
        settings: names as in a recipe, also with dots (``data.max_gap``); settings that have a
            short flag by its name; sections as mappings; ``backbone`` and ``method`` also by name.
            Another method comes with its own defaults.
        call: the function of Python that they are given to, whose own names are known too.

    Raises:
        ConfigError: a setting is unknown, or cannot be used.
    """
    settings = nested(settings)
    require_known(PretrainConfig, settings, call=call, short=_SHORT)
    method = settings.get("method")
    name = method.get("name") if isinstance(method, Mapping) else method
    other = METHOD_CONFIGS.get(str(name))
    if other is not None and not isinstance(config.method, other):
        config = fitted_to(other, config)
    plain = to_plain(config)
    plain["data"]["frames_per_video"], plain["augment"]["large_views"] = frames_and_views(
        config,
        frames=asked_of(settings.get("data"), "frames_per_video"),
        views=asked_of(settings.get("augment"), "large_views"),
    )
    for name, value in settings.items():
        section, inner = (_SHORT[name], {name: value}) if name in _SHORT else (name, value)
        if section in _NAMED and isinstance(inner, str | os.PathLike):
            inner = {"name": os.fspath(inner)}
        if section in _NAMED and not isinstance(inner, Mapping) and not is_dataclass(inner):
            raise ConfigError(
                f"{section!r} is of type {type(inner).__name__}; it must be a name, or a dict of "
                f"settings. {_NAMED[section]}"
            )
        whole = settings.get(section)
        if name in _SHORT and isinstance(whole, Mapping) and name in whole:
            raise ConfigError(f"{name!r} is given, and in {section!r} too. Give only one of them.")
        if not isinstance(inner, Mapping) or not isinstance(plain.get(section), dict):
            plain[section] = to_plain(inner)
            continue
        is_other = section == "method" and inner.get("name") not in (None, config.method.name)
        plain[section] = ({} if is_other else plain[section]) | {
            key: to_plain(one) for key, one in inner.items()
        }
    return build_settings(PretrainConfig, plain, at="")


def asked_of(section: Any, name: str) -> Any:
    """Return a setting of a section that is given as a mapping or as an object, or None."""
    return section.get(name) if isinstance(section, Mapping) else getattr(section, name, None)


def frames_and_views(
    config: PretrainConfig, *, frames: int | None = None, views: int | None = None
) -> tuple[int, int]:
    """Return frames of a video and large views, where one is asked for, or both, or none.

    Where ``config`` shows each of more than two frames in a view of its own, so does the result.
    """
    before = config.data.frames_per_video, config.augment.large_views
    if before[0] == before[1] > 2 and (frames is None) != (views is None):
        return (frames or views or 2,) * 2
    return frames or before[0], views or before[1]


def fitted_to(method: type[MethodSettings], config: PretrainConfig) -> PretrainConfig:
    """Return a config for another method, without what only its own method uses.

    That is a rate of the predictor, and more than two large views.
    """
    if not method.HAS_PREDICTOR:
        config = replace(config, optim=replace(config.optim, predictor_lr=None))
    if method.TAKES_MORE_VIEWS or config.augment.large_views == 2:
        return config
    frames = min(config.data.frames_per_video, 2 + config.augment.small_crops)
    return replace(
        config,
        augment=replace(config.augment, large_views=2),
        data=replace(config.data, frames_per_video=frames),
    )


def changed_flags(recipe: PretrainConfig, config: PretrainConfig) -> list[str]:
    """Return the flags that turn ``recipe`` into ``config``, but for the videos."""
    name = recipe.method.name
    if name != config.method.name:  # it comes with its own defaults
        recipe = fitted_to(type(config.method), recipe)
    before, after = to_plain(recipe), to_plain(config)
    if name != config.method.name:
        before["method"] = to_plain(type(config.method)()) | {"name": name}
    old, new = _flat(before), _flat(after)
    changed = {name for name, value in new.items() if value != old[name]} - {"videos"}
    frames, views = "data.frames_per_video", "augment.large_views"
    if len(changed & {frames, views}) == 1 and old[frames] == old[views] > 2:
        changed |= {frames, views}  # one alone would change both
    return [shlex.join(flag_words(name, new[name])) for name in new if name in changed]


def flat_settings(config: PretrainConfig) -> dict[str, Any]:
    """Return all settings by their dotted names, such as ``optim.lr``."""
    return _flat(to_plain(config))


def _flat(plain: dict[str, Any], at: str = "") -> dict[str, Any]:
    """Return nested settings as one dict with dotted names."""
    flat: dict[str, Any] = {}
    for name, value in plain.items():
        inner = _flat(value, f"{at}{name}.") if isinstance(value, dict) else {at + name: value}
        flat |= inner
    return flat
