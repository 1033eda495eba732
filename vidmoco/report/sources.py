"""What a report is on: runs, comparisons and detection transfers, sorted by what they are."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vidmoco.config.evaluation import ReportCommand
from vidmoco.errors import ConfigError
from vidmoco.report.detection import RESULTS, Transfer, holds_transfer, is_transfer, read_transfer
from vidmoco.report.results_file import checked_results, content_of
from vidmoco.report.run_facts import RunFacts, read_run
from vidmoco.urls import expanded


@dataclass(kw_only=True)
class Sources:
    """The content of all sources, in the order in which they were given."""

    runs: list[RunFacts] = field(default_factory=list)
    comparisons: list[tuple[Path, dict[str, Any]]] = field(default_factory=list)
    """Results files of ``vidmoco evaluate`` and their content."""
    transfers: list[Transfer] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """Why each source that cannot be read is not among them."""

    def add(self, path: Path) -> None:
        """Read a source, and put it where it belongs."""
        if path.is_file():
            content = content_of(path)
            if is_transfer(content):
                self.transfers.append(read_transfer(path))
            else:
                self.comparisons.append((path, checked_results(path, content)))
        elif holds_transfer(path):
            self.transfers.append(read_transfer(path))
        else:
            self.runs.append(read_run(path))


def read_sources(command: ReportCommand) -> Sources:
    """Return the content of the sources, and of the results files of runs where none is given.

    Of several sources, one that cannot be read costs itself only.

    Raises:
        ConfigError: no source can be read, as it is none of these or damaged; or one is given
            twice.
    """
    sources = Sources()
    given = [expanded(path) for path in (*command.sources, *command.results)]

    def add(path: Path) -> None:
        try:
            sources.add(path)
        except ConfigError as error:
            if len(given) == 1:
                raise
            sources.left_out.append(str(error))

    for path in given:
        add(path)
    if len(sources.left_out) == len(given):
        raise ConfigError(f"None of {len(given)} sources can be read. {sources.left_out[0]}")
    _require_different(
        [
            *(facts.folder for facts in sources.runs),
            *(path for path, _ in sources.comparisons),
            *(transfer.path for transfer in sources.transfers),
        ]
    )
    if not sources.comparisons and not sources.transfers:
        for facts in sources.runs:
            if (path := facts.folder / RESULTS).is_file():
                add(path)
    return sources


def _require_different(sources: Sequence[Path]) -> None:
    """Refuse a source that is given twice, maybe by a link such as runs/latest."""
    known: dict[Path, Path] = {}
    for source in sources:
        other = known.get(source.resolve())
        if other is not None:
            same = f"{source} is given twice" if other == source else f"{other} is {source}"
            raise ConfigError(f"{same}; give each run or file once.")
        known[source.resolve()] = source
