"""Files of a line of JSON every few steps: metrics.jsonl and monitor.jsonl of a run folder."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vidmoco.atomic_file import atomic_write, writing
from vidmoco.run_folder import go_on_with


def append_line(path: Path, line: Mapping[str, Any]) -> None:
    """Write a line at the end of a metrics.jsonl or monitor.jsonl of a run folder.

    Raises:
        ConfigError: it cannot be written; the run goes on from its last checkpoint.
    """
    with (
        writing(path, advice=go_on_with(path.parent)),
        path.open("a", encoding="utf-8") as file,
    ):
        file.write(json.dumps(line) + "\n")


def drop_lines_after(path: Path, step: int) -> None:
    """Keep the lines of the first ``step`` steps alone: a run goes on from there."""
    kept = [line for line in read_metrics(path) if line["step"] <= step]
    with atomic_write(path, advice=go_on_with(path.parent)) as part:
        part.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a metrics.jsonl or monitor.jsonl; one cut off by a crash is left out."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]
