"""What one process does of an extraction of many videos."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

from rich.console import Console

from vidmoco.backbones.frozen import FrozenBackbone
from vidmoco.config.extract import ExtractCommand
from vidmoco.console import say
from vidmoco.device import keep_freed_memory, resolve_device
from vidmoco.distributed import own_gpu
from vidmoco.features.batch_size import default_batch_size
from vidmoco.features.claims import Worker
from vidmoco.features.dataset_part import Columns
from vidmoco.features.extract_many import Result, extract_many
from vidmoco.features.extract_outputs import DatasetOutput, FileOutput, Output, kind_of
from vidmoco.features.extraction import Extraction
from vidmoco.features.output_folder import OutputFolder
from vidmoco.text import counted
from vidmoco.video.fetch import fetched


def put_on_device(frozen: FrozenBackbone, command: ExtractCommand) -> None:
    """Move the backbone to the device of the command.

    Raises:
        ConfigError: there is no such device.
    """
    device = own_gpu(resolve_device(command.device))
    frozen.move_to(device)
    keep_freed_memory(device)


def open_output(
    folder: OutputFolder,
    worker: Worker,
    frozen: FrozenBackbone,
    command: ExtractCommand,
    labels: Columns,
) -> Output:
    """Return where the features go.

    Raises:
        ConfigError: the folder holds something else, or was made with other settings.
    """
    if command.writes_dataset:
        return DatasetOutput(folder, worker, frozen, command, labels)
    return FileOutput(folder, worker, frozen, command)


def extract_here(
    frozen: FrozenBackbone,
    todo: Iterable[Extraction],
    output: Output,
    worker: Worker,
    command: ExtractCommand,
    temporary: Path,
    console: Console | None,
) -> Generator[Result, None, None]:
    """Extract the videos that no other process has; yield each as ``extract_many`` does.

    Files of URLs are in the folder ``temporary`` meanwhile. The console, if
    there is one, shows when it waits for other processes.
    """

    def on_wait(number: int) -> None:
        if console is not None:
            say(console, f"Waiting for {counted(number, 'video')} that other processes extract.")

    results = extract_many(
        frozen,
        todo,
        output,
        worker,
        with_files=partial(with_files, command, temporary),
        on_wait=on_wait,
        **kind_of(command),
        batch_size=command.batch_size or default_batch_size(frozen),
        limits=command.limits,
        workers=command.workers,
    )
    for one, result, damage in results:
        if one.url and one.video.path.is_relative_to(temporary):
            one.video.path.unlink(missing_ok=True)
        yield one, result, damage


def with_files(
    command: ExtractCommand, folder: Path, todo: Iterable[Extraction]
) -> Iterator[Extraction]:
    """Yield what is to be extracted, with its file, which is fetched if it is at a URL."""
    files = fetched(
        ((one.url, one) for one in todo),
        folder,
        most_bytes=round(command.max_download * 2**30),
        limits=command.limits,
    )
    with closing(files):
        for one, video in files:
            yield one if video is None else replace(one, video=video)
