"""``vidmoco extract``: features of one video to a file, or of many to a dataset or a file each."""

import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from vidmoco.backbones.frozen import FrozenBackbone, load_frozen
from vidmoco.backbones.source import lasting
from vidmoco.config.extract import ExtractCommand
from vidmoco.console import say, say_result
from vidmoco.device import resolve_device
from vidmoco.distributed import own_gpu
from vidmoco.errors import VideoError
from vidmoco.features.batch_size import default_batch_size
from vidmoco.features.claims import Worker
from vidmoco.features.dataset_part import Columns
from vidmoco.features.extract import extract_videos
from vidmoco.features.extract_here import extract_here, open_output, put_on_device, with_files
from vidmoco.features.extract_outputs import DatasetOutput, damage_of, kind_of
from vidmoco.features.extract_plan import Plan, plan_of
from vidmoco.features.extraction import Extraction
from vidmoco.features.manifest import Given, write_manifest
from vidmoco.features.output_folder import OutputFolder
from vidmoco.features.ray_engine import extract_on_ray
from vidmoco.features.torchrun_engine import extract_on_all_gpus, is_launched, speaks
from vidmoco.progress import ProgressBar
from vidmoco.run_folder import LATEST
from vidmoco.text import counted
from vidmoco.urls import url_of

DEFAULT_BACKBONE = "resnet50"


def default_backbone() -> str:
    """Return the newest run of this folder, or timm's pretrained ResNet-50 if there is none."""
    return str(LATEST) if (LATEST / "backbone").is_dir() else DEFAULT_BACKBONE


@dataclass(frozen=True)
class Extracted:
    """What an extraction wrote. It is taken wherever a path of features is."""

    path: Path
    """The file, or the folder of many videos."""
    summary: str
    """The counts in words, or of one video the shape of its features."""
    failed: dict[str, str] = field(default_factory=dict)
    """Why, by the name of each video that could not be extracted."""

    def __fspath__(self) -> str:
        return url_of(self.path)


def extract(command: ExtractCommand, plan: Plan | None = None) -> int:
    """Run ``vidmoco extract``; return 0, or 1 if any of many videos failed.

    ``plan`` is what ``plan_of`` returns, if it was called before.
    """
    console = Console(stderr=True, quiet=not speaks())
    done = write_features(command, plan or plan_of(command), console=console)
    say_result(f"{url_of(done.path)}: {done.summary}")
    say(console, *(f"  {name!r}: {reason}" for name, reason in done.failed.items()))
    return 1 if done.failed and not is_launched() else 0


def write_features(
    command: ExtractCommand,
    plan: Plan,
    *,
    console: Console,
    loaded: FrozenBackbone | None = None,
) -> Extracted:
    """Write the features of a plan.

    Args:
        command: The settings.
        plan: What ``plan_of`` returns.
        console: Shows progress.
        loaded: A backbone on its device, in place of the one that the command names. It works in
            this process.

    Raises:
        ConfigError: A setting, the backbone or the output cannot be used.
        VideoError: The only video cannot be read.
    """
    frozen = loaded or _load(command, console)
    frozen = replace(frozen, source=lasting(frozen.source))
    if command.engine == "torchrun":
        command = extract_on_all_gpus(command, frozen, plan, console)
    if command.engine == "local" and loaded is None:  # else the workers have devices
        put_on_device(frozen, command)
    if not plan.is_many:
        return Extracted(command.output, _extract_one(command, frozen, plan.todo, console))
    failed = {one.name: one.video.reason for one in plan.refused}
    refused = [Given(one.name, "refused", one.video.reason, one.source) for one in plan.refused]
    with closing(plan.folder):
        summary = _extract_many(
            command,
            frozen,
            plan.todo,
            plan.folder,
            plan.labels,
            failed=failed,
            refused=refused,
            console=console,
        )
    num_unlabelled = sum(set(one.labels) == {None} for one in plan.todo)
    without = "".join(
        f", {number} not in {path}"
        for number, path in (
            (plan.num_without_times, command.times_file),
            (num_unlabelled, command.labels),
        )
        if number
    )
    return Extracted(command.output, f"{summary}, {len(failed)} failed{without}", failed)


def _load(command: ExtractCommand, console: Console) -> FrozenBackbone:
    if command.engine != "ray":
        own_gpu(resolve_device(command.device))  # a mistake is told before the backbone is loaded
    source = command.backbone or default_backbone()
    say(console, f"Backbone: {source}")
    return load_frozen(
        source,
        size=command.size,
        crop_mode=command.crop_mode,
        precision=command.precision,
        feature=command.feature,
    )


def _extract_one(
    command: ExtractCommand,
    frozen: FrozenBackbone,
    todo: Sequence[Extraction],
    console: Console,
) -> str:
    """Write the file of one video and return what it holds, or raise why that is not possible."""
    began = time.monotonic()
    with TemporaryDirectory(prefix="vidmoco-") as temporary:
        results = extract_videos(
            frozen,
            with_files(command, Path(temporary), todo),
            **kind_of(command),
            batch_size=command.batch_size or default_batch_size(frozen),
            limits=command.limits,
            workers=1,
        )
        with closing(results), ProgressBar(console, "extract", total=len(todo)) as bar:
            for one, result in bar.track(results):
                if isinstance(result, VideoError):
                    raise result
                say(console, *(f"  {line}" for line in damage_of(one)))
                shape = ", ".join(map(str, (result, *frozen.row_shape)))
                rate = f"{result / max(time.monotonic() - began, 1e-9):.0f} frames/s"
    what = rate if command.pool == "none" else f"{command.pool} of frames"
    return f"({shape}) {command.dtype}, {what}"


def _extract_many(
    command: ExtractCommand,
    frozen: FrozenBackbone,
    plan: Sequence[Extraction],
    folder: OutputFolder,
    labels: Columns,
    *,
    failed: dict[str, str],
    refused: Sequence[Given],
    console: Console,
) -> str:
    """Extract what is not there yet, put failures into ``failed``, and return a summary."""
    num_here = num_rows = num_elsewhere = 0
    with ExitStack() as stack:
        temporary = Path(stack.enter_context(TemporaryDirectory(prefix="vidmoco-")))
        worker = stack.enter_context(Worker(folder))
        output = open_output(folder, worker, frozen, command, labels)
        stack.enter_context(output)
        if isinstance(output, DatasetOutput):
            output.require_own(plan)
            if num_parts := output.relabel(plan):
                say(console, f"New labels in {counted(num_parts, 'part')}; the features stay.")
        todo = [one for one in plan if not output.has(one)]
        bar = stack.enter_context(ProgressBar(console, "extract", total=len(todo)))
        if command.engine == "ray":
            results = extract_on_ray(frozen, todo, worker, command, labels, console)
        else:
            results = extract_here(frozen, todo, output, worker, command, temporary, console)
        for one, result, damage in bar.track(stack.enter_context(closing(results))):
            if isinstance(result, VideoError):
                failed[one.name] = str(result)
            elif result is None:
                num_elsewhere += 1
            else:
                num_here, num_rows = num_here + 1, num_rows + result
            say(console, *(f"  {line}" for line in damage))
        vanished = []
        if isinstance(output, DatasetOutput):
            vanished = _finish(output, worker, plan, failed, refused)
    for name in vanished:
        say(console, f"  {name!r} is not there any more; its rows stay.")
    return (
        f"{num_here} extracted"
        + (f" ({num_rows} rows)" if command.writes_dataset else "")
        + (f", {num_elsewhere} by other processes" if num_elsewhere else "")
        + f", {len(plan) - len(todo)} were there already"
        + (f", {len(vanished)} vanished" if vanished else "")
    )


def _finish(
    output: DatasetOutput,
    worker: Worker,
    plan: Sequence[Extraction],
    failed: dict[str, str],
    refused: Sequence[Given],
) -> list[str]:
    """Tidy up the dataset, write its manifest, and return the names of vanished videos."""
    dataset = output.dataset
    worker.has_finished()
    with worker.alone("tidy"):
        worker.look()
        dataset.tidy(worker=worker.id, living=worker.extracting, is_alive=worker.is_alive)
        without = list(refused)
        for one in plan:
            if one.name in failed or not output.has(one):
                state = "failed" if one.name in failed else "pending"
                reason, seconds = failed.get(one.name, ""), one.video.duration_seconds
                without.append(Given(one.name, state, reason, one.source, seconds))
        names = [one.name for one in plan] + [one.video for one in refused]
        return write_manifest(dataset, names, without)
