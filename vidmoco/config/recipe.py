"""Recipes: from strict YAML to a config and back.

A recipe is a plain mapping of the config's fields, without includes, interpolation or class paths.
A field that a recipe leaves out keeps its default. An unknown key, a wrong type and a value out of
range each raise ``ConfigError``, which names the key.
"""

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from vidmoco.config.pretrain import PretrainConfig
from vidmoco.config.yaml_text import MAX_BYTES, read_yaml
from vidmoco.cores import sees_gpu
from vidmoco.errors import ConfigError, nearest
from vidmoco.text import read_text

Config = TypeVar("Config")


def default_recipe(device: str = "auto") -> str:
    """Return the recipe of a training on ``device`` that names none."""
    on_gpu = sees_gpu() if device == "auto" else device.startswith("cuda")
    return "vidmoco_gpu" if on_gpu else "vidmoco"


def load_recipe(name_or_path: str) -> PretrainConfig:
    """Return the config of a shipped recipe, such as ``vidmoco``, or of a YAML file.

    Raises:
        ConfigError: the recipe does not exist or is not valid.
    """
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise ConfigError(f"There is no recipe file {path}.")
        return parse_recipe(read_text(path, what="recipe", most_bytes=MAX_BYTES), source=str(path))
    shipped = shipped_recipes()
    if name_or_path not in shipped:
        raise ConfigError(
            f"Unknown recipe {name_or_path!r}.{nearest(name_or_path, shipped)} Shipped recipes: "
            f"{', '.join(shipped)}. The path of a .yaml file is a recipe too."
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
    """Return the config that YAML ``text`` describes. Errors name ``source``."""
    data = read_yaml(text, source=f"Recipe {source}")
    try:
        return config_from_plain({} if data is None else data)
    except ConfigError as error:
        raise ConfigError(f"Recipe {source}: {error}") from error


def config_from_plain(data: Any) -> PretrainConfig:
    """Return the config that ``to_plain`` made ``data`` of, or a part of it."""
    return build_settings(PretrainConfig, data, at="")


def dump_recipe(config: PretrainConfig) -> str:
    """Return YAML from which ``parse_recipe`` makes an equal config."""
    return yaml.safe_dump(to_plain(config), sort_keys=False, allow_unicode=True)


def to_plain(value: Any) -> Any:
    """Return a config as dicts, lists, strings and numbers."""
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        return {field.name: to_plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return value


def differences(a: Any, b: Any, *, at: str = "") -> list[str]:
    """Return ``"key: x and y"`` for every key whose values differ in two plain configs."""
    if not isinstance(a, dict):
        return [] if a == b else [f"{at}: {a!r} and {b!r}"]
    return [
        line
        for key in a.keys() | b.keys()
        for line in differences(a.get(key), b.get(key), at=f"{at}.{key}" if at else key)
    ]


_SHORT = {
    "batch_size": "data",
    "workers": "data",
    "single_frame": "data",
    "device": "engine",
    "precision": "engine",
    "log": "engine",
}
"""The section of each setting that has a flag without a section."""


def with_settings(config: PretrainConfig, settings: Mapping[str, Any]) -> PretrainConfig:
    """Return ``config`` with other settings, given as Python has them.

    Args:
        config: what the settings replace.
        settings: names as in a recipe; settings that have a short flag by its name; sections as
            mappings; ``backbone`` and ``method`` also by name. Another method comes with its own
            defaults.

    Raises:
        ConfigError: a setting is unknown, or cannot be used.
    """
    plain = to_plain(config)
    for name, value in settings.items():
        section, inner = (_SHORT[name], {name: value}) if name in _SHORT else (name, value)
        if section in ("backbone", "method") and isinstance(inner, str):
            inner = {"name": inner}
        if not isinstance(inner, Mapping) or not isinstance(plain.get(section), dict):
            plain[section] = to_plain(inner)
            continue
        is_other = section == "method" and inner.get("name") not in (None, config.method.name)
        plain[section] = ({} if is_other else plain[section]) | {
            key: to_plain(one) for key, one in inner.items()
        }
    return build_settings(PretrainConfig, plain, at="")


def changed_flags(recipe: PretrainConfig, config: PretrainConfig) -> list[str]:
    """Return the flags that turn ``recipe`` into ``config``, but for the videos."""
    before, after = to_plain(recipe), to_plain(config)
    if before["method"]["name"] != after["method"]["name"]:  # it comes with its own defaults
        before["method"] = to_plain(type(config.method)()) | {"name": before["method"]["name"]}
    return [
        f"--{name.replace('_', '-')} {value}"
        for name, value in _flat(after).items()
        if value != _flat(before)[name] and name != "videos"
    ]


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


def build_settings(kind: type[Config], data: Any, *, at: str) -> Config:
    """Return the dataclass ``kind`` filled from a mapping. ``at`` is the key of that mapping.

    Raises:
        ConfigError: a key is unknown, or a value has the wrong type or is out of range.
    """
    if not isinstance(data, dict):
        where = f"{at!r} is" if at else "it is"
        raise ConfigError(f"{where} {data!r}; it must be a mapping of settings.")
    known = typing.get_type_hints(kind)  # strips Annotated
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    values = {}
    for key, value in data.items():
        where = f"{at}.{key}" if at else key
        if key not in names:
            raise ConfigError(
                f"unknown key {where!r}.{nearest(key, names)} Known here: {', '.join(names)}."
            )
        values[key] = _coerce(known[key], value, at=where)
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        without = field.default is field.default_factory is dataclasses.MISSING
        if without and field.name not in values:
            raise ConfigError(f"{(at + '.' if at else '') + field.name!r} is missing.")
    return kind(**values)


def _class_by_name(kinds: Sequence[Any], data: Any, *, at: str) -> Any:
    """Return the dataclass whose ``name`` a mapping gives, or the first if it gives no name."""
    names = {kind.name: kind for kind in kinds}  # kind.name is the default of the field
    name = data.get("name", kinds[0].name) if isinstance(data, dict) else kinds[0].name
    if not isinstance(name, str) or name not in names:
        raise ConfigError(
            f"'{at}.name' is {name!r}; it must be one of {', '.join(names)}."
            f"{nearest(str(name), names)}"
        )
    return names[name]


def _coerce(kind: Any, value: Any, *, at: str) -> Any:
    """Return ``value`` as type ``kind``. A ``ConfigError`` names the key ``at``."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return build_settings(kind, value, at=at)
    if origin in (types.UnionType, typing.Union) and dataclasses.is_dataclass(inner[0]):
        return build_settings(_class_by_name(inner, value, at=at), value, at=at)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in inner:
            return None
        literal = next((k for k in inner if typing.get_origin(k) is Literal), None)
        if literal is not None and value in typing.get_args(literal):
            return value
        return _coerce(inner[0], value, at=at)
    if origin is Literal and value in inner:
        return value
    if origin is tuple and isinstance(value, list):
        if inner[-1] is not Ellipsis and len(value) != len(inner):
            raise ConfigError(f"{at!r} is {value!r}; it must have {len(inner)} values.")
        kinds = [inner[0]] * len(value) if inner[-1] is Ellipsis else inner
        return tuple(_coerce(k, v, at=at) for k, v in zip(kinds, value, strict=True))
    if kind is float:
        number = _as_float(value)
        if number is not None:
            return number
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind in (bool, int, str) and type(value) is kind:
        return value
    raise ConfigError(f"{at!r} is {value!r}; it must be {_describe(kind)}.")


def _as_float(value: Any) -> float | None:
    """Return a finite float, or None. YAML 1.1 reads ``1e-4`` as text, so text is parsed too."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if abs(number) != float("inf") and number == number else None


def _describe(kind: Any) -> str:
    """Return the description of a type for a message."""
    if typing.get_origin(kind) is Literal:
        return "one of " + ", ".join(repr(value) for value in typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        inner = typing.get_args(kind)[0]
        if typing.get_origin(inner) is Literal:
            return "a list, each item " + _describe(inner)
        return "a list of " + _describe(inner).split(" ", 1)[1] + "s"
    names = {float: "a number", int: "a whole number", bool: "true or false", str: "a string"}
    return names.get(kind, "a path")
