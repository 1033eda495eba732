#!/usr/bin/env python
"""Compare trainings: rows of settings, seeds, equal budgets, judged on labelled images.

    python tools/ablate.py tools/ablations/objects.yaml -o objects/
    python tools/ablate.py mine.yaml -o mine/ --jobs 2 --threads 1

The file says what is trained and what judges it (``vidmoco/ablation/plan.py``). The folder gets a
run per row and seed, the results of each, table.md, table.json and a chart per judge. The same
command goes on after a stop. docs/ablations.md shows how to learn whether pretraining on one's own
videos pays.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.markdown import Markdown
from tyro.conf import Positional, arg

from vidmoco.ablation.run import run_ablation
from vidmoco.console import wide_console
from vidmoco.errors import ConfigError, VidmocoError


@dataclass(frozen=True, kw_only=True)
class Ablate:
    """Compare trainings: rows of settings, seeds, equal budgets, judged on labelled images."""

    file: Positional[Path]
    """The ablation (.yaml)."""
    output: Annotated[Path, arg(aliases=["-o"])]
    """The folder of its runs, results and table."""
    jobs: int = 1
    """Trainings at a time."""
    threads: int | None = None
    """Threads of each training. The default is that of `vidmoco pretrain`: one per core, or half of
    that if the other cores decode videos."""
    workers: int | None = None
    """Processes or threads of each training that read frames."""

    def __post_init__(self) -> None:
        for name in ("jobs", "threads", "workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"--{name} is {value}; it must be 1 or more.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run, and return 0, 1 if a training failed, or 2 for the user's mistake."""
    try:
        command = tyro.cli(Ablate, args=argv)
        done = run_ablation(
            command.file,
            command.output,
            jobs=command.jobs,
            threads=command.threads,
            workers=command.workers,
        )
    except VidmocoError as error:
        print(f"ablate: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ablate: stopped; the same command goes on.", file=sys.stderr)
        return 130
    text = (command.output / "table.md").read_text(encoding="utf-8")
    wide_console(columns=120).print(Markdown(text))
    return 1 if done.failures else 0


if __name__ == "__main__":
    sys.exit(main())
