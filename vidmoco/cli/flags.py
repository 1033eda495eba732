"""Parse a command line to settings: a flag overrides a recipe, a recipe overrides the defaults."""

import argparse
import copy
import dataclasses
import io
import sys
import typing
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import tyro

from vidmoco.cli.help import HELP, HELP_ALL, print_help
from vidmoco.cli.resume_words import run_config, with_resume
from vidmoco.cli.synonyms import as_a_flag, called_here
from vidmoco.config.base import require_finite
from vidmoco.config.commands import PretrainCommand, PreviewCommand
from vidmoco.config.methods import METHOD_CONFIGS
from vidmoco.config.recipe import (
    default_recipe,
    fitted_to,
    frames_and_views,
    load_recipe,
    shipped_recipes,
)
from vidmoco.config.resume import has_checkpoint
from vidmoco.cores import require_device
from vidmoco.errors import ConfigError, nearest

Trains = PretrainCommand | PreviewCommand


def parse(settings: type[Any], words: Sequence[str], *, prog: str) -> Any:
    """Return the settings of a command.

    Args:
        settings: The command's dataclass.
        words: The arguments after ``prog``.
        prog: The command as typed, such as ``vidmoco scan``.

    Raises:
        ConfigError: A setting cannot be used.
        SystemExit: After the help (0), or after a message about a wrong argument (2).
    """
    _require_words(words)
    if hint := as_a_flag(words, {flag for flag, _ in _flags(settings)}, command=prog):
        raise ConfigError(hint)
    options: dict[str, Any] = {}
    advice = ""
    if settings is PretrainCommand:
        words = with_resume(words)
    if settings in (PretrainCommand, PreviewCommand):
        options["default"], advice = _defaults(settings, words)
    if {*HELP, HELP_ALL} & set(words):
        print_help(settings, prog=prog, everything=HELP_ALL in words, **options)
    for flag in _flags_of_several(settings):
        if words.count(flag) > 1:
            raise ConfigError(
                f"{flag} is given {words.count(flag)} times. Give all its values once: {flag} A B"
            )
    messages = io.StringIO()
    try:
        with redirect_stderr(messages):
            given = tyro.cli(settings, args=words, prog=prog, **options)
    except (ConfigError, SystemExit) as stop:
        error: BaseException | None = stop
        while error is not None and not isinstance(error, ConfigError):
            error = error.__context__  # a config's own error, which tyro mostly prints in a box
        if error is None:
            flags = {flag for flag, _ in _flags(settings)}
            if hint := called_here(messages.getvalue(), flags, command=prog):
                raise ConfigError(hint) from stop
            print(messages.getvalue(), end="", file=sys.stderr)
            raise
        if settings is PretrainCommand:  # its recipe was chosen by the device
            require_device(_device(words))
        raise ConfigError(f"{error}{advice}") from error
    require_finite(given)
    return given


def _require_words(words: Sequence[str]) -> None:
    """Refuse an empty argument: as a path it would be the current folder."""
    for before, word in zip(["", *words], words, strict=False):
        if not word or (word.startswith("--") and word.endswith("=")):
            after = f" after {word[:-1] or before}" if word or before else ""
            raise ConfigError(
                f"An argument is empty{after}. Is a variable of the shell not set? The current "
                "folder is . (a dot)."
            )


def _flags(settings: type[Any], prefix: str = "--") -> list[tuple[str, Any]]:
    """Return all flags of a command with the types of their values."""
    flags: list[tuple[str, Any]] = []
    for name, kind in typing.get_type_hints(settings).items():
        flag = prefix + name.replace("_", "-")
        sections = [one for one in (kind, *typing.get_args(kind)) if dataclasses.is_dataclass(one)]
        for section in sections:
            # The fields of ``PretrainConfig`` and of limits have flags without a prefix.
            flags += _flags(cast(type[Any], section), f"{flag}.")
            flags += _flags(cast(type[Any], section), prefix)
        flags += [] if sections else [(flag, kind)]
    return flags


def _flags_of_several(settings: type[Any]) -> list[str]:
    """Return the flags that take any number of values: of one given twice, the first were lost."""
    return [flag for flag, kind in _flags(settings) if typing.get_args(kind)[-1:] == (Ellipsis,)]


def _device(words: Sequence[str]) -> str:
    """Return the device that the words name, or ``auto``."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--device", "--engine.device", dest="device", default="auto")
    return str(parser.parse_known_args(words)[0].device)


def _defaults(settings: type[Trains], words: Sequence[str]) -> tuple[Trains, str]:
    """Return the settings that flags override: those of the recipe, or of the run to resume.

    Also return advice for the case that they cannot be used together, or an empty string.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for flag in ("--recipe", "--run", "--method.name"):
        parser.add_argument(flag)
    for flag in ("--data.frames-per-video", "--augment.large-views"):
        parser.add_argument(flag, type=int)
    parser.add_argument("--resume", default="no")
    try:
        given, device = vars(parser.parse_known_args(words)[0]), _device(words)
    except argparse.ArgumentError:  # a flag without its value; tyro has a better message
        return settings(), ""
    recipe = given["recipe"] or default_recipe(device)
    goes_on = given["resume"] == "yes" or (
        given["resume"] == "auto" and has_checkpoint(Path(given["run"] or ""))
    )
    is_resumed = settings is PretrainCommand and given["recipe"] is None and goes_on
    source = str(run_config(given["run"])) if is_resumed else recipe
    command, advice = settings(config=load_recipe(source), recipe=recipe), ""
    if given["method.name"] not in (None, command.config.method.name):
        command, advice = _with_method(command, given["method.name"])
    frames, views = frames_and_views(
        command.config,
        frames=given["data.frames_per_video"],
        views=given["augment.large_views"],
    )
    return _unchecked(
        command,
        data=replace(command.config.data, frames_per_video=frames),
        augment=replace(command.config.augment, large_views=views),
    ), advice


def _with_method(command: Trains, name: str) -> tuple[Trains, str]:
    """Return the settings with another method and its defaults, and advice or an empty string.

    If the recipe does not fit the method, flags may still make it fit. So it is not refused here,
    but after all flags are parsed.
    """
    if name not in METHOD_CONFIGS:
        raise ConfigError(
            f"--method.name is {name!r}.{nearest(name, METHOD_CONFIGS)} Expected one of "
            f"{', '.join(METHOD_CONFIGS)}."
        )
    method = METHOD_CONFIGS[name]()
    before = fitted_to(type(method), command.config)
    try:
        return replace(command, config=replace(before, method=method)), ""
    except ConfigError:
        fitting = [one for one in shipped_recipes() if load_recipe(one).method.name == name]
        advice = (
            f" The recipe is for {command.config.method.name}. Recipes for {name}: "
            f"{', '.join(fitting)}."
        )
        return _unchecked(replace(command, config=before), method=method), advice


def _unchecked(command: Trains, **sections: Any) -> Trains:
    """Return a command with other sections, which may not fit each other yet."""
    config = copy.copy(command.config)
    for name, section in sections.items():
        object.__setattr__(config, name, section)  # replace() would check it
    return replace(command, config=config)
