"""``vidmoco report``: one self-contained HTML file of a run or of comparisons."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from markupsafe import Markup
from rich.console import Console

import vidmoco
from vidmoco.atomic_file import atomic_write, unwritable
from vidmoco.config.evaluation import ReportCommand
from vidmoco.console import say, say_result
from vidmoco.errors import ConfigError
from vidmoco.features.feature_set import open_features
from vidmoco.report.curves import curves_section
from vidmoco.report.detection import transfer_header, transfers_section, val_of
from vidmoco.report.feature_sections import feature_sections
from vidmoco.report.markup import Section, paragraph
from vidmoco.report.page import GENERATOR, page
from vidmoco.report.results_sections import results_header, results_section
from vidmoco.report.run_sections import (
    configuration_section,
    environment_section,
    refused_section,
    repeat_section,
    run_header,
)
from vidmoco.report.several_runs import names_of, several_sections
from vidmoco.report.sources import Sources, read_sources
from vidmoco.run_folder import make_writable_folder
from vidmoco.urls import expanded
from vidmoco.visualize.display import print_left_out

_ADVICE = ", or give another file by --output."


def report(command: ReportCommand, *, console: Console | None = None) -> int:
    """Write the page, print its path and return exit code 0, or 1 if a source is left out.

    Raises:
        ConfigError: no source can be read, or the output cannot be written.
        DataError: the features are damaged.
    """
    console = console or Console(stderr=True)
    sources = read_sources(command)
    runs, transfers = sources.runs, sources.transfers
    output = expanded(command.output or _beside(expanded(command.sources[0])))
    require_replaceable(output)
    features = None if command.features is None else open_features(command.features)
    tables = _comparisons(sources)
    print_left_out([*sources.left_out, *([] if features is None else features.left_out)])
    for facts in runs:
        if facts.monitor_problem:
            say(console, facts.monitor_problem)
    sections: list[Section | None] = [_left_out(sources.left_out)]
    if len(runs) > 1:
        sections += several_sections(runs)
    elif runs:
        from vidmoco.report.pair_section import pair_section  # torch, for the views

        sections.append(curves_section(runs[0]))
        sections.append(pair_section(runs[0], num_pairs=command.pairs, console=console))
    sections += tables
    if transfers:
        sections.append(transfers_section(transfers))
    if features is not None:
        sections += feature_sections(features)
    if len(runs) == 1:
        sections += [refused_section(runs[0]), configuration_section(runs[0])]
        sections += [environment_section(runs[0]), repeat_section(runs[0])]
    title, kind, header = _head(sources)
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
    return 1 if sources.left_out else 0


def _comparisons(sources: Sources) -> list[Section]:
    """Return the tables of the comparisons, and leave out what is damaged among several sources."""
    sections, whole = [], []
    for path, results in sources.comparisons:
        try:
            sections.append(results_section(results, name=str(path)))
            whole.append((path, results))
        except (KeyError, TypeError, ValueError, AttributeError) as error:  # read_results missed it
            damage = f"{path} is damaged: {error!r}. Evaluate again."
            if len(sources.runs) + len(sources.comparisons) + len(sources.transfers) == 1:
                raise ConfigError(damage) from error
            sources.left_out.append(damage)
    sources.comparisons = whole
    return sections


def _left_out(lines: Sequence[str]) -> Section | None:
    """Return the section on sources that cannot be read, if there are any."""
    parts = [paragraph(line, "warning") for line in lines]
    return Section("Left out", parts, "These could not be read.") if parts else None


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


def _beside(source: Path) -> Path:
    """Return the default output: in the run folder, or beside the results file."""
    return source / "report.html" if source.is_dir() else source.with_suffix(".html")


def _head(sources: Sources) -> tuple[str, str, list[Markup]]:
    """Return title, kind and header of the page."""
    runs, results, transfers = sources.runs, sources.comparisons, sources.transfers
    if len(runs) > 1:
        return ", ".join(names_of(runs)), "Runs of vidmoco pretrain", []
    if runs:
        name = runs[0].folder.resolve().name
        return name, "A run of vidmoco pretrain", run_header(runs[0])
    names = [Path(one["images"]).name or one["images"] for _, one in results]
    names += [val_of(one) for one in transfers]
    title = f"Backbones on {', '.join(dict.fromkeys(names))}"
    if not results:
        header = transfer_header(transfers[0]) if len(transfers) == 1 else []
        return title, "Detection transfer by vidmoco evaluate-detection", header
    header = results_header(results[0][1]) if len(results) == 1 else []
    return title, "A comparison by vidmoco evaluate", header


def _write(markup: str, path: Path) -> None:
    with atomic_write(path, advice=_ADVICE) as part:
        part.write_text(markup, encoding="utf-8")
