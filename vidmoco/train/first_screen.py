"""What a training says of itself: before its first step what matters, at the end what to do."""

import shlex
from pathlib import Path

import torch

from vidmoco import distributed, run_folder
from vidmoco.backbones.source import parse_source
from vidmoco.config.data import DataConfig
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.config.recipe import changed_flags, load_recipe
from vidmoco.data.order import Batching
from vidmoco.data.source import PairSource
from vidmoco.device import training_precision
from vidmoco.text import counted


def first_screen(
    config: PretrainConfig,
    source: PairSource,
    batching: Batching,
    steps: range,
    *,
    run: Path,
    recipe: str,
    device: torch.device,
) -> list[str]:
    """Return the lines, each a word and what it is in this run.

    Args:
        config: of the run.
        source: where its pairs come from.
        batching: of the source.
        steps: that are still to be taken.
        run: the run folder.
        recipe: the name or path of the recipe; empty for none.
        device: where it trains.
    """
    notes = (
        source.warning(),
        source.gap_note(),
        _size_note(config),
        # The former gives a warm-up too. A resume keeps the rate.
        (steps.start == 0 and _rate_note(config, recipe, batching, steps))
        or _length_note(config, batching, steps),
    )
    facts = {
        "run": f"{run} ({run_folder.CONFIG} there has all settings)",
        "recipe": recipe and _recipe(recipe, config),
        "data": _data(source),
        "batch": _batch(config, source, batching),
        "method": f"{config.method.name}, {config.backbone.name} at {config.augment.size} px",
        "device": _device(config, source, batching, device),
        "steps": f"{steps.start:,} to {steps.stop:,}, {batching.steps_per_epoch:,} per epoch",
        "note": " ".join(filter(None, notes)),
    }
    return [f"{name:<8}{fact}" for name, fact in facts.items() if fact]


def last_screen(run: Path, *, taken: int = 0) -> list[str]:
    """Return where the backbone of a finished run is, and the commands that use it.

    ``taken`` is the number of its steps, if it was finished before.
    """
    quoted = shlex.quote(str(run))
    before = f"{run} is finished: its {taken:,} steps are taken. More: --steps N or --epochs N."
    return [
        *[before] * bool(taken),
        f"Done: {run / run_folder.BACKBONE}. What next:",
        f"  vidmoco report {quoted}",
        f"  vidmoco evaluate IMAGES --backbone {quoted}",
        f"  vidmoco extract VIDEO --backbone {quoted} -o feats.npy",
    ]


def _recipe(recipe: str, config: PretrainConfig) -> str:
    changed = changed_flags(load_recipe(recipe), config)
    return f"{recipe}, with {' '.join(changed)}" if changed else recipe


def _data(source: PairSource) -> str:
    videos, sources = len(source.durations), len(source.sources)
    if not source.has_time:
        return f"{counted(videos, 'image')}"
    seconds = float(source.durations.sum())
    length = f"{seconds / 60:.1f} minutes" if seconds >= 120 else f"{seconds:.1f} s"
    if seconds >= 7200:
        length = f"{seconds / 3600:,.1f} hours"
    text = f"{counted(videos, 'video')}, {length}"
    if sources > videos:
        longest = source.sources.durations.max()
        text += f", in {sources:,} segments of at most {longest:.2g} s (--data.segments)"
    config = source.config
    stored = source.prepared_short_side
    needed = max(config.data.short_side, config.augment.size)
    if stored is None:
        return text
    if stored < needed:
        text += f"; prepared at {stored} px, enlarged to {needed} (prepare --short-side {needed})"
    elif stored >= 2 * needed:
        text += f"; prepared at {stored} px (--short-side {needed} is enough, and faster)"
    return text


def _size_note(config: PretrainConfig) -> str:
    """Say that the views would be enlarged pictures, with no more to see."""
    side, size = config.data.short_side, config.augment.size
    if side >= size:
        return ""
    return (
        f"Frames are reduced to {side} px, and views of {size} px are enlarged from them. Give "
        f"--data.short-side {round(size * 8 / 7)}."
    )


def _rate_note(config: PretrainConfig, recipe: str, batching: Batching, steps: range) -> str:
    """Say that a learning rate for random weights makes those worse that the training starts from.

    A recipe may be a run that started from weights, with a rate that suits them.
    """
    if not recipe or not _starts_from_weights(config):
        return ""
    of_recipe = load_recipe(recipe)
    if of_recipe.optim.lr != config.optim.lr or _starts_from_weights(of_recipe):
        return ""
    warmup = min(1, _short_warmup(batching, steps))
    return (
        "The training starts from weights, with the learning rate that the recipe has for random "
        "ones, which makes trained ones worse. Give --optim.name adamw --optim.lr 1e-5 "
        f"--optim.scale-lr none --optim.warmup-epochs {warmup:.2g}."
    )


def _short_warmup(batching: Batching, steps: range) -> float:
    """Return the epochs of a warm-up over a twentieth of a training."""
    return steps.stop / 20 / batching.steps_per_epoch


def _starts_from_weights(config: PretrainConfig) -> bool:
    return config.backbone.start is not None or parse_source(config.backbone.name).names_weights


def _length_note(config: PretrainConfig, batching: Batching, steps: range) -> str:
    """Say that the training is too short for its schedules, which count in epochs."""
    per_epoch, optim = batching.steps_per_epoch, config.optim
    warmup = optim.warmup_epochs * per_epoch
    if warmup > max(steps.start, steps.stop * 2 / 3):
        less = f"--optim.warmup-epochs {_short_warmup(batching, steps):.2g}, or "
        return (
            f"The learning rate rises for {warmup:,.0f} steps, and there are {steps.stop:,}. Give "
            f"{less if steps.start == 0 else ''}more --steps."  # a resume keeps the warm-up
        )
    if optim.schedule == "cosine" and optim.update_every == "epoch" and steps.stop < 3 * per_epoch:
        return (
            f"The learning rate changes between epochs alone, of which there are "
            f"{steps.stop / per_epoch:.2g}. Give --optim.update-every step, or more --steps."
        )
    return ""


def _batch(config: PretrainConfig, source: PairSource, batching: Batching) -> str:
    data, views = config.data, config.augment.large_views
    if not config.method.CONTRASTS_VIEWS:
        kind = f"one view of {'a video' if source.has_time else 'an image'}"
        kind += ", with its stored embedding as the positive"
    elif data.single_frame or not source.has_time:
        kind = f"{_in_words(views)} views of one {'frame' if source.has_time else 'image'}"
    else:
        kind = f"{_in_words(data.frames_per_video)} frames of one video{_gaps(data)}"
        if views > data.frames_per_video:
            kind += f", in {views} views"
    text = f"{data.batch_size} times {kind}"
    if batching.pairs_per_source > 1:
        text += (
            f"; an epoch takes {batching.pairs_per_source} of each segment, which are not each "
            "other's negatives"
        )
    return text


def _gaps(data: DataConfig) -> str:
    least, most = f"{data.min_gap:g}", data.max_gap
    if not data.min_gap:
        return "" if most is None else f", at most {most:g} s apart"
    gaps = f"at least {least} s" if most is None else f"{least} to {most:g} s"
    if data.frames_per_video > 2:  # the least gap is that of the first and the last of them
        return f", which span {gaps}"
    return f", {gaps} apart"


def _in_words(number: int) -> str:
    return {2: "two", 3: "three", 4: "four"}.get(number, str(number))


def _device(
    config: PretrainConfig, source: PairSource, batching: Batching, device: torch.device
) -> str:
    processes = distributed.world_size()
    text = f"{processes} x {device.type}" if processes > 1 else device.type
    text += f", {training_precision(device, config.engine.precision)}"
    if device.type == "cpu":
        text += f", {counted(torch.get_num_threads(), 'thread')}"
    if source.decodes:
        text += f"; {counted(source.workers, 'worker')} to decode"
    return f"{text}; {source.memory_bytes(batching) / 2**30:.2g} GiB for frames"
