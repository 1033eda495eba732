"""What a Ray worker does of an extraction: what a process does that is given the same command."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

from vidmoco.backbones.frozen import FrozenBackbone
from vidmoco.config.extract import ExtractCommand
from vidmoco.errors import ConfigError, VideoError, VidmocoError, is_out_of_memory
from vidmoco.features.claims import WORKERS, Worker
from vidmoco.features.dataset_part import Columns
from vidmoco.features.extract_here import extract_here, open_output, put_on_device
from vidmoco.features.extraction import Extraction
from vidmoco.features.output_folder import OutputFolder, output_folder
from vidmoco.text import memory_line


@dataclass(frozen=True)
class Job:
    """What all workers are given."""

    frozen: FrozenBackbone
    """On the CPU."""
    todo: list[Extraction]
    command: ExtractCommand
    labels: Columns
    driver: str
    """The id of the process that waits for the workers."""
    sample: str
    """A local video that the driver sees, or empty."""


def work(job: Job, start: int, stopped: Event | None = None) -> Iterator[dict[str, Any]]:
    """Extract what no other worker has, from video ``start`` on, and yield what has come of it.

    The first is ``worker``, the id of this one. Then ``video``, its place in the list, with its
    ``rows`` and ``damage``, or with the ``reason`` why it has none. An ``error`` ends the worker.
    When it is ``stopped``, it writes what it has after the video that it is at.
    """
    try:
        with ExitStack() as stack:
            folder = stack.enter_context(closing(output_folder(job.command.output)))
            _require_places(folder, job)
            temporary = Path(stack.enter_context(TemporaryDirectory(prefix="vidmoco-")))
            put_on_device(job.frozen, job.command)
            worker = stack.enter_context(Worker(folder))
            yield {"worker": worker.id}
            output = open_output(folder, worker, job.frozen, job.command, job.labels)
            stack.enter_context(output)
            places = {one.name: place for place, one in enumerate(job.todo)}
            todo = job.todo[start:] + job.todo[:start]
            results = extract_here(
                job.frozen, todo, output, worker, job.command, temporary, console=None
            )
            for one, result, damage in stack.enter_context(closing(results)):
                place = places[one.name]
                if isinstance(result, VideoError):
                    yield {"video": place, "reason": str(result)}
                elif result is not None:
                    yield {"video": place, "rows": result, "damage": list(damage)}
                if stopped is not None and stopped.is_set():
                    output.flush()
                    return
    except VidmocoError as error:
        yield {"error": f"{socket.gethostname()}: {error}"}
    except (RuntimeError, MemoryError, OSError) as error:
        if not is_out_of_memory(error):
            raise
        yield {"error": f"{socket.gethostname()}: {memory_line(error)}"}


def _require_places(folder: OutputFolder, job: Job) -> None:
    """Raise ``ConfigError`` if this node does not see what the driver sees."""
    if job.driver not in folder.sizes(WORKERS):
        raise ConfigError(
            f"{folder.name} is another folder on this node than on the one of the command. Give an "
            "-o that all nodes see, or a URL."
        )
    if job.sample and not Path(job.sample).exists():
        raise ConfigError(
            f"{job.sample} is not there on this node. Videos must be in the same place on all "
            "nodes, or at URLs."
        )
