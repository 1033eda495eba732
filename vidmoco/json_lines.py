"""JSON-lines files of a run folder: metrics.jsonl and monitor.jsonl."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vidmoco.atomic_file import atomic_write, writing
from vidmoco.json_text import parse_json
from vidmoco.run_folder import resume_advice


def append_line(path: Path, line: Mapping[str, Any]) -> None:
    """Append a line to a file.

    Raises:
        ConfigError: the file cannot be written; the message says how to resume the run.
    """
    with (
        writing(path, advice=resume_advice(path.parent)),
        path.open("a", encoding="utf-8") as file,
    ):
        file.write(json.dumps(line) + "\n")


def drop_lines_after(path: Path, step: int) -> None:
    """Keep only the lines of the first ``step`` steps: a run resumes after them."""
    kept = [line for line in read_metrics(path) if line["step"] <= step]
    with atomic_write(path, advice=resume_advice(path.parent)) as part:
        part.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a file, without a last line that a crash cut short."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [parse_json(line) for line in lines if line.endswith("\n")]
