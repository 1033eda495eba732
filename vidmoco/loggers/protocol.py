"""What a logger is: a view of metrics.jsonl and monitor.jsonl, which stay the truth."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from PIL import Image

from vidmoco.config.pretrain import PretrainConfig


@runtime_checkable
class Logger(Protocol):
    """Shows a run in another tool. Its errors come from that tool."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Show numbers of a step, unless the tool has them already. Steps do not decrease."""

    def picture(self, image: Image.Image) -> None:
        """Show the first pairs of the training. It may be called once in every start."""

    def close(self, *, failed: bool) -> None:
        """Write what is not written yet, and say that the run has ended, or that it failed."""


@dataclass(frozen=True)
class RunToLog:
    """What a logger needs to begin."""

    folder: Path
    config: PretrainConfig
    note: dict[str, Any]
    """What this logger has noted of the run, to find it again: empty at first, and changed here."""


def scalars_of(line: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a line of metrics.jsonl under its names, without the step."""
    return {
        name: float(value)
        for name, value in line.items()
        if name != "step" and isinstance(value, int | float)
    }


def scalars_of_monitor(line: Mapping[str, Any]) -> dict[str, float]:
    """Return ``knn_top1``, and ``retrieval/2.0`` for 2 s, of a line of monitor.jsonl, in percent.

    Its epoch and seconds are left out: those names are of metrics.jsonl.
    """
    found = {"knn_top1": float(line["knn_top1"])} if "knn_top1" in line else {}
    retrieval = line.get("retrieval", {})
    return found | {f"retrieval/{name}": float(value) for name, value in retrieval.items()}
