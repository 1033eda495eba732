"""The text of ``--help``: common settings first, a box per section, no settings for experts."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from typing import Annotated, Any, Literal, NoReturn, get_args

import tyro
from tyro.conf import FlagCreatePairsOff, Suppress, arg
from tyro.constructors import (
    ConstructorRegistry,
    StructConstructorSpec,
    StructFieldSpec,
    StructTypeInfo,
)

from vidmoco.config.fields import EVERYDAY, EXPERT
from vidmoco.config.methods import METHOD_CONFIGS

HELP, HELP_ALL = ("-h", "--help"), "--help-all"

_WIDEST = 120  # columns; on wider terminals tyro puts boxes side by side, in its own order

_annotated: Any = Annotated  # for types made at run time, which a type checker cannot follow
_literal: Any = Literal
_METHOD_HELP = "The method. A method other than the recipe's comes with its own defaults."

Rule = Callable[[StructTypeInfo], StructConstructorSpec | None]


def print_help(settings: type[Any], *, prog: str, everything: bool, **options: Any) -> NoReturn:
    """Print the help of a command, and exit with 0.

    Args:
        settings: The command's dataclass.
        prog: The command as typed, such as ``vidmoco scan``.
        everything: Show the settings for experts too.
        options: More arguments of ``tyro.cli``.
    """
    hidden: set[tuple[type, str]] = set()
    registry = ConstructorRegistry()
    registry.struct_rule(help_rule(hidden, everything=everything))
    with _narrow_enough():
        try:
            tyro.cli(settings, prog=prog, args=["--help"], registry=registry, **options)
        finally:
            if hidden:
                print(f"{prog} {HELP_ALL} shows {len(hidden)} more, which hardly anyone changes.")
    raise AssertionError("tyro exits after it prints a help")


def help_rule(hidden: set[tuple[type, str]], *, everything: bool) -> Rule:
    """Return a rule that changes tyro's description of a dataclass, only for the help.

    Settings for experts are left out and added to ``hidden``. Everyday settings of sections move
    up to the level of the sections.
    """
    busy = False

    def view(info: StructTypeInfo) -> StructConstructorSpec | None:
        nonlocal busy
        if busy or not is_dataclass(info.type):
            return None
        busy = True  # so that tyro's own rule answers the calls below
        try:
            spec = _spec(info)
            lifted = [one for section in spec.fields for one in _everyday(section)]
        finally:
            busy = False
        shown = []
        for one in spec.fields:
            if _is(one, EXPERT) and not everything:
                names = [f.name for f in fields(one.default)] if is_dataclass(one.default) else []
                if isinstance(info.default, info.type):  # and no other method's
                    hidden.update((info.type, name) for name in names or [one.name])
                shown.append(_marked(one, Suppress))
            elif _is(one, EVERYDAY):
                shown.append(_marked(one, Suppress))
            elif one.name == "name" and info.type in METHOD_CONFIGS.values():
                named = replace(one, type=_literal[tuple(METHOD_CONFIGS)], helptext=_METHOD_HELP)
                shown.append(_readable(named))
            else:
                shown.append(_readable(one))
        return replace(spec, fields=(*shown, *map(_readable, lifted)))

    return view


def _spec(info: StructTypeInfo) -> StructConstructorSpec:
    spec = ConstructorRegistry.get_struct_spec(info)
    assert isinstance(spec, StructConstructorSpec)
    return spec


def _marked(field: StructFieldSpec, *markers: Any) -> StructFieldSpec:
    return replace(field, type=_annotated[(field.type, *markers)])


def _is(field: StructFieldSpec, marker: str) -> bool:
    return marker in get_args(field.type)[1:]


def _everyday(section: StructFieldSpec) -> Iterator[StructFieldSpec]:
    """Yield the everyday settings of a section under their full names."""
    if is_dataclass(section.default):
        kind = type(section.default)
        for one in _spec(StructTypeInfo.make(kind, section.default, in_union_context=False)).fields:
            if _is(one, EVERYDAY):
                name = f"{section.name}.{one.name}"
                yield _marked(replace(one, name=name), arg(name=name))


def _readable(field: StructFieldSpec) -> StructFieldSpec:
    """Return a field whose help is one paragraph, without obvious defaults."""
    text = field.helptext

    def paragraph() -> str | None:
        words = ((text() if callable(text) else text) or "").split()
        return " ".join(words) or None

    off = [FlagCreatePairsOff] if field.default is False else []
    return _marked(replace(field, helptext=paragraph), arg(help_behavior_hint=_default_hint), *off)


def _default_hint(default: str) -> str:
    return "" if default in ("", "None", "False", "no") else f"(default: {default})"


@contextmanager
def _narrow_enough() -> Iterator[None]:
    """Show tyro a terminal of at most ``_WIDEST`` columns."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(min(shutil.get_terminal_size().columns, _WIDEST))
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
