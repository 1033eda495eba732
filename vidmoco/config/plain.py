"""Settings as dicts, lists, strings and numbers, and back, with every type checked."""

import dataclasses
import inspect
import os
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from vidmoco.errors import ConfigError, nearest

Config = TypeVar("Config")
_MOST_SHOWN = 120  # characters
# Of other tools: what they are called here. Flags have their own (``cli/synonyms.py``).
_OTHER_NAMES = {
    "learning_rate": "lr",
    "wd": "weight_decay",
    "num_workers": "workers",
    "max_epochs": "epochs",
    "max_steps": "steps",
    "temperature": "tau",
    **dict.fromkeys(("image_size", "img_size", "crop_size"), "size"),
    **dict.fromkeys(("arch", "model", "model_name"), "backbone"),
}


def to_plain(value: Any) -> Any:
    """Return a config, or settings as Python has them, as dicts, lists, strings and numbers."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: to_plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, Mapping):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list | range):
        return [to_plain(item) for item in value]
    if isinstance(value, type):  # np.float16; torch's and NumPy's own dtypes are objects
        return value.__name__
    if hasattr(value, "tolist"):  # of NumPy or torch
        try:
            return value.tolist()
        except Exception:  # what it cannot be a setting of, ``_coerce`` says
            return value
    if type(value).__module__.startswith(("torch", "numpy")):  # a device or a dtype, without torch
        return str(value).removeprefix("torch.")
    return value


def nested(data: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return settings with ``{"data": {"max_gap": 1}}`` in place of ``{"data.max_gap": 1}``.

    Raises:
        ConfigError: a setting is given twice.
    """
    found = {key: value for key, value in data.items() if "." not in str(key)}
    for key, value in data.items():
        section, dot, inner = str(key).partition(".")
        if not dot:
            continue
        before = found.get(section, {})
        if not isinstance(before, Mapping):
            raise ConfigError(
                f"{key!r} is given, and {section!r} is {_shown(before)}. Give {section!r} as a "
                "mapping of settings."
            )
        if inner in before:
            raise ConfigError(f"{key!r} is given twice.")
        found[section] = {**before, inner: value}
    return found


def from_python(
    kind: type[Config], given: Mapping[str, Any], *, call: Callable[..., Any] | None = None
) -> Config:
    """Return the dataclass ``kind`` with settings as Python has them.

    ``call`` is the function that they are given to, whose own names are known too.

    Raises:
        ConfigError: a name is unknown, or a value has the wrong type or is out of range.
    """
    known = typing.get_type_hints(kind)
    given = nested(given)
    require_known(kind, given, call=call)
    plain = {
        name: value if _is_one(known.get(name), value) else to_plain(value)
        for name, value in given.items()
    }
    return build_settings(kind, plain, at="")


def checked(function: Callable[..., Any], /, **given: Any) -> dict[str, Any]:
    """Return arguments of a function, each of the type that its annotation says.

    Raises:
        ConfigError: one has another type.
    """
    known = typing.get_type_hints(function)
    return {name: _coerce(known[name], to_plain(value), at=name) for name, value in given.items()}


def require_known(
    kind: type[Any],
    given: Iterable[str],
    *,
    call: Callable[..., Any] | None = None,
    short: Iterable[str] = (),
    without: Sequence[str] = (),
) -> None:
    """Refuse a name of Python that is no setting, and say where there is one so called.

    Args:
        kind: the dataclass of the settings.
        given: the names.
        call: the function that they are given to, whose own names are known too.
        short: names that are taken in place of those of a section.
        without: sections that are not taken.

    Raises:
        ConfigError: a name is unknown.
    """
    own = inspect.signature(call).parameters.values() if call is not None else ()
    named = [one.name for one in own if one.kind is not one.VAR_KEYWORD]
    names = [field.name for field in dataclasses.fields(kind)]
    known = [name for name in dict.fromkeys([*names, *short, *named]) if name not in without]
    for name in given:
        if name not in known:
            ours = _OTHER_NAMES.get(name, name)
            places = [f"{section}={{{ours!r}: …}}" for section in _sections_with(kind, ours)]
            places = [ours] if ours in known else places
            raise _unknown(name, name, known, places)


def _sections_with(kind: type[Any], name: str) -> list[str]:
    """Return the sections of a dataclass that have a setting of this name."""
    sections = []
    for section, type_ in typing.get_type_hints(kind).items():
        kinds = [one for one in (type_, *typing.get_args(type_)) if dataclasses.is_dataclass(one)]
        if any(name == field.name for one in kinds for field in dataclasses.fields(one)):
            sections.append(section)
    return sections


def _unknown(where: str, key: str, known: Sequence[str], places: Sequence[str]) -> ConfigError:
    hint = f" {key!r} is {' or '.join(places)}." if places else nearest(key, known)
    return ConfigError(f"unknown key {where!r}.{hint} Known here: {', '.join(known)}.")


def _is_one(kind: Any, value: Any) -> bool:
    """Return whether a value is an object of the dataclass ``kind``."""
    return isinstance(kind, type) and dataclasses.is_dataclass(kind) and isinstance(value, kind)


def _shown(value: Any) -> str:
    """Return what a message says of a value."""
    text = " ".join(repr(value).split())
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 1]}…"


def build_settings(kind: type[Config], data: Any, *, at: str) -> Config:
    """Return the dataclass ``kind`` filled from a mapping. ``at`` is the key of that mapping.

    Raises:
        ConfigError: a key is unknown, or a value has the wrong type or is out of range.
    """
    if not isinstance(data, dict):
        where = f"{at!r} is" if at else "it is"
        raise ConfigError(f"{where} {_shown(data)}; it must be a mapping of settings.")
    known = typing.get_type_hints(kind)  # strips Annotated
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    values = {}
    for key, value in nested(data).items():
        where = f"{at}.{key}" if at else key
        if key not in names:
            ours = _OTHER_NAMES.get(str(key), str(key))
            places = [f"{section}.{ours}" for section in _sections_with(kind, ours)]
            places = [ours] if ours in names else places
            raise _unknown(where, str(key), names, places)
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
    if _is_one(kind, value):
        return value
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
    if origin is tuple and inner[-1] is Ellipsis and not isinstance(value, list | dict | None):
        value = [value]  # one where several may be given
    if origin is tuple and isinstance(value, list):
        if inner[-1] is not Ellipsis and len(value) != len(inner):
            raise ConfigError(f"{at!r} is {_shown(value)}; it must have {len(inner)} values.")
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
    raise ConfigError(f"{at!r} is {_shown(value)}; it must be {_describe(kind)}.")


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
