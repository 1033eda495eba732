"""``vidmoco report``: one self-contained HTML file of a run or of comparisons."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup
from rich.console import Console

import vidmoco
from vidmoco.atomic_file import atomic_write, unwritable
from vidmoco.config.evaluation import ReportCommand
from vidmoco.console import say, say_result
from vidmoco.errors import ConfigError
from vidmoco.features.feature_set import open_features
from vidmoco.report.curves import curves_section
from vidmoco.report.feature_sections import feature_sections
from vidmoco.report.markup import Section
from vidmoco.report.page import GENERATOR, page
from vidmoco.report.results_file import read_results
from vidmoco.report.results_sections import results_header, results_section
from vidmoco.report.run_facts import RunFacts, read_run
from vidmoco.report.run_sections import (
    configuration_section,
    environment_section,
    refused_section,
    repeat_section,
    run_header,
)
from vidmoco.report.several_runs import names_of, several_sections
from vidmoco.run_folder import make_writable_folder
from vidmoco.urls import expanded
from vidmoco.visualize.display import print_left_out

_ADVICE = ", or give another file by --output."
RESULTS = "results.json"  # in a run folder, shown if it exists


def report(command: ReportCommand, *, console: Console | None = None) -> int:
    """Write the page, print its path and return exit code 0.

    Raises:
        ConfigError: the source is neither a run nor a results file, or is damaged, or the output
            cannot be written.
        DataError: the features are damaged.
    """
    console = console or Console(stderr=True)
    sources = [expanded(source) for source in command.sources]
    if len(sources) > 1:
        _require_different(sources)
        runs = [read_run(source) for source in sources]
    else:
        runs = [] if sources[0].is_file() else [read_run(sources[0])]
    given = [expanded(path) for path in command.results]
    if not runs:
        given = [*sources, *given]
    elif not given:
        given = [path for facts in runs if (path := facts.folder / RESULTS).is_file()]
    results = [(path, read_results(path)) for path in given]
    output = expanded(command.output or _beside(sources[0], runs))
    require_replaceable(output)
    features = None if command.features is None else open_features(command.features)
    print_left_out([] if features is None else features.left_out)
    for facts in runs:
        if facts.monitor_problem:
            say(console, facts.monitor_problem)
    sections: list[Section | None] = []
    if len(runs) > 1:
        sections += several_sections(runs)
    elif runs:
        from vidmoco.report.pair_section import pair_section  # torch, for the views

        sections.append(curves_section(runs[0]))
        sections.append(pair_section(runs[0], num_pairs=command.pairs, console=console))
    sections += [_comparison(path, one) for path, one in results]
    if features is not None:
        sections += feature_sections(features)
    if len(runs) == 1:
        sections += [refused_section(runs[0]), configuration_section(runs[0])]
        sections += [environment_section(runs[0]), repeat_section(runs[0])]
    title, kind, header = _head(runs, results)
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    markup = page(
        title=title,
        kind=kind,
        header=header,
        sections=[section for section in sections if section is not None],
        foot=f"Written by vidmoco {vidmoco.__version__} on {now}.",
    )
    _write(markup, output)
    size = output.stat().st_size
    shown = f"{size / 1e6:.1f} MB" if size > 1e6 else f"{size / 1e3:.0f} kB"
    say_result(f"{output}: {shown}")
    return 0


def _comparison(path: Path, results: dict[str, Any]) -> Section:
    try:
        return results_section(results, name=str(path))
    except (KeyError, TypeError, ValueError, AttributeError) as error:  # read_results missed it
        raise ConfigError(f"{path} is damaged: {error!r}. Evaluate again.") from error


def require_replaceable(path: Path) -> None:
    """Raise ``ConfigError`` if the page cannot be written, or would replace another file."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"--output is {str(path)!r}; it must end in .html.")
    try:
        with path.open("rb") as file:
            is_ours = GENERATOR.encode() in file.read(2000)
    except FileNotFoundError:
        is_ours = True
    except OSError as error:
        raise unwritable(error, path, advice=_ADVICE) from error
    make_writable_folder(path.parent, flag="--output")
    if not is_ours:
        raise ConfigError(
            f"--output is {str(path)!r}, which exists and is not a report of vidmoco. Name another "
            "file."
        )


def _require_different(sources: Sequence[Path]) -> None:
    """Refuse a run that is given twice, maybe by a link such as runs/latest."""
    known: dict[Path, Path] = {}
    for source in sources:
        other = known.setdefault(source.resolve(), source)
        if other is not source:
            same = f"{source} is given twice" if other == source else f"{other} is {source}"
            raise ConfigError(f"{same}; give each run once.")


def _beside(source: Path, runs: Sequence[RunFacts]) -> Path:
    """Return the default output: in the run folder, or beside the results file."""
    return runs[0].folder / "report.html" if runs else source.with_suffix(".html")


def _head(
    runs: Sequence[RunFacts], results: list[tuple[Path, dict[str, Any]]]
) -> tuple[str, str, list[Markup]]:
    """Return title, kind and header of the page."""
    if len(runs) > 1:
        return ", ".join(names_of(runs)), "Runs of vidmoco pretrain", []
    if runs:
        name = runs[0].folder.resolve().name
        return name, "A run of vidmoco pretrain", run_header(runs[0])
    names = [Path(one["images"]).name or one["images"] for _, one in results]
    title = f"Backbones on {', '.join(dict.fromkeys(names))}"
    return title, "A comparison by vidmoco evaluate", results_header(results[0][1])


def _write(markup: str, path: Path) -> None:
    with atomic_write(path, advice=_ADVICE) as part:
        part.write_text(markup, encoding="utf-8")
