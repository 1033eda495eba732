"""JSON-lines files of a run folder: metrics.jsonl and monitor.jsonl."""

import json
import shutil
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
    """Return the lines of a file, without those that are damaged or cut short."""
    return _read(path)[0] if path.is_file() else []


def set_aside_damaged(path: Path) -> str:
    """Copy a file with damaged lines, before they are dropped. Return a warning, or "".

    A last line without its end is no damage: a crash leaves one.

    Raises:
        ConfigError: the copy cannot be written.
    """
    damaged = _read(path)[1] if path.is_file() else 0
    if not damaged:
        return ""
    copy = path.with_suffix(".damaged")
    with writing(copy, advice=resume_advice(path.parent)):
        shutil.copyfile(path, copy)
    what = "line of it is" if damaged == 1 else "lines of it are"
    return f"{path} is damaged: {damaged:,} {what} left out, and the file is kept as {copy.name}."


def _read(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Return the lines that can be read, and the number of the others."""
    texts = path.read_bytes().decode("utf-8-sig", errors="replace").split("\n")[:-1]
    lines, damaged = [], 0
    for text in filter(str.strip, texts):
        try:
            line = parse_json(text.strip("\0 \t\r"))
        except ValueError:
            line = None
        if isinstance(line, dict) and type(line.get("step")) is int:
            lines.append(line)
        else:
            damaged += 1
    return lines, damaged
