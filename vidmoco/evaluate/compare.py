"""Compare frozen backbones on labelled images: one row per backbone, the same protocol for all."""

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch.utils.data import DataLoader

from vidmoco import distributed
from vidmoco.backbones.build import weights_hash
from vidmoco.backbones.frozen import FrozenBackbone
from vidmoco.config.evaluation import EvaluateCommand
from vidmoco.console import say, say_first
from vidmoco.device import keep_freed_memory, resolve_device
from vidmoco.evaluate.candidates import load_candidates
from vidmoco.evaluate.feature_cache import (
    features_key,
    hash_of_images,
    hash_of_labels,
    load_features,
    save_features,
)
from vidmoco.evaluate.features import (
    Features,
    ImageBatch,
    compute_features,
    default_workers,
    image_loader,
    require_every_class,
)
from vidmoco.evaluate.finetune import FinetuneSettings, finetune
from vidmoco.evaluate.finetune_recipes import ALL_LAYERS_RECIPES, HEAD_RECIPES, Rule
from vidmoco.evaluate.finetune_state import FinetuneState
from vidmoco.evaluate.labelled_videos import cached_frames
from vidmoco.evaluate.protocols import score_features
from vidmoco.evaluate.regularization import require_blocks
from vidmoco.evaluate.results import print_results, require_writable, results_of, write_results
from vidmoco.evaluate.training_images import batch_size_of
from vidmoco.images.class_notes import notes_of
from vidmoco.images.equal_images import find_equal_images, warning_of
from vidmoco.images.folders import holds_videos
from vidmoco.images.labelled import LabelledImages
from vidmoco.images.load import load_labelled_images
from vidmoco.progress import ProgressBar

RESULTS = Path("results.json")
_SHOWN_LEFT_OUT = 20


def evaluate(
    command: EvaluateCommand,
    *,
    console: Console | None = None,
    output: Console | None = None,
    writes: bool = True,
    loaded: Mapping[str, FrozenBackbone] | None = None,
) -> dict[str, Any]:
    """Compare backbones, print the table, and write and return the content of ``results.json``.

    Accuracies are in percent. Under torchrun the processes share the images; the main process
    scores, prints and writes. ``rows`` is empty on the others.

    Args:
        command: The settings.
        console: Shows progress; the default is standard error.
        output: Prints the table; the default is standard output.
        writes: Write the results file.
        loaded: As for ``load_candidates``.

    Raises:
        ConfigError: a setting, path or backbone name cannot be used.
        CheckpointError: a backbone's weights cannot be loaded, or are not finite.
        DataError: the images cannot be used.
    """
    path = command.output or RESULTS
    if writes:
        require_writable(path)
    with distributed.processes_from_environment(resolve_device(command.device)) as device:
        keep_freed_memory(device)
        quiet = not distributed.is_main()
        console = console or Console(stderr=True, quiet=quiet)
        candidates = load_candidates(
            command.backbone,
            size=command.size,
            crop_mode=command.crop_mode,
            precision=command.precision,
            seed=command.seed,
            loaded=loaded,
        )
        if command.finetune_recipe == "deit":
            for candidate in candidates:
                require_blocks(candidate)
        folder, left_out = _folder_of_images(command, console)
        train, val = load_labelled_images(
            folder,
            max_train_per_class=command.max_train_per_class,
            seed=command.seed,
            label_column=command.label_column,
            torchvision=command.torchvision,
            val_share=command.val_share,
        )
        say(
            console,
            f"{len(train)} train and {len(val)} {val.split} images of {len(train.classes)} classes "
            f"in {command.images}",
            *notes_of(train, val),
        )
        # It reads whole files, so one process does it for all.
        found = find_equal_images(train, val) if distributed.is_main() else None
        equal = distributed.gather_objects([found])[0][0]
        if warning := warning_of(equal, val):
            say(console, warning)
        rows, features = _rows(candidates, train, val, command, device=device, console=console)
        results = results_of(
            command, train, val, rows=rows, features=features, left_out=left_out, equal=equal
        )
        if distributed.is_main():
            if writes:
                write_results(path, results)
            print_results(results, path=path if writes else None, console=output)
    return results


def _folder_of_images(command: EvaluateCommand, console: Console) -> tuple[Path, list[str]]:
    """Return the folder of the images, or of the videos' frames, and what was left out."""
    is_image = command.torchvision is not None or not command.images.is_dir()
    if command.videos.labels is None and (is_image or not holds_videos(command.images)):
        return command.images, []
    with distributed.main_first():  # the main process reads the videos, the others its frames
        fresh = command.fresh and distributed.is_main()
        folder, left_out = cached_frames(
            command.images,
            command.videos,
            val_share=command.val_share,
            seed=command.seed,
            console=console,
            fresh=fresh,
        )
    if left_out:
        say(console, "Left out:")
        say_first(console, left_out, most=_SHOWN_LEFT_OUT, where="the results file")
    return folder, left_out


def _rows(
    candidates: list[FrozenBackbone],
    train: LabelledImages,
    val: LabelledImages,
    command: EvaluateCommand,
    *,
    device: torch.device,
    console: Console,
) -> tuple[list[dict[str, Any]], Features]:
    """Return the table's rows, and the features of the last backbone, which list refused images.

    Only the main process returns rows.
    """
    rows: list[dict[str, Any]] = []
    loader: DataLoader[ImageBatch] | None = None
    preprocess = None
    total = (len(train) + len(val)) * len(candidates)
    workers = command.workers
    if workers is None:
        workers = default_workers([train, val], passes=len(candidates))
    images = hash_of_images([train, val])
    with ProgressBar(console, "", total=total, unit="images", log=True) as progress:
        for candidate in candidates:
            if loader is None or candidate.preprocess != preprocess:
                preprocess = candidate.preprocess
                loader = image_loader(
                    [train, val],
                    preprocess,
                    batch_size=command.batch_size,
                    workers=workers,
                    pin_memory=device.type == "cuda",
                )
            progress.begin(f"{candidate.name}: features")
            began = time.monotonic()
            key = features_key(candidate, images, device_type=device.type)
            kept, why = (None, "") if command.fresh else load_features(key)
            if why:
                say(console, why)
            if all(distributed.gather_objects(kept is not None)):
                assert kept is not None
                features = kept
                progress.advance(len(train) + len(val))
            else:
                features = _compute(candidate, loader, device=device, progress=progress)
                why = save_features(features, key) if distributed.is_main() else ""
                if why:
                    say(console, why)
            seconds = {"features": time.monotonic() - began}
            require_every_class(features.rows, features.refused, train, val)
            scores: dict[str, Any] = {}
            if distributed.is_main():
                scores = score_features(
                    features, train, val, command, device=device,
                    progress=progress, name=candidate.name, seconds=seconds,
                )  # fmt: skip
            if command.finetune:
                scores["finetune"] = {
                    rule: _finetune(
                        rule, candidate, features, train, val, command,
                        key=key, device=device, workers=workers, progress=progress, seconds=seconds,
                    )
                    for rule in command.finetune
                }  # fmt: skip
            if distributed.is_main():
                rows.append(_about(candidate) | scores | {"seconds": seconds})
    return rows, features


def _compute(
    candidate: FrozenBackbone,
    loader: DataLoader[ImageBatch],
    *,
    device: torch.device,
    progress: ProgressBar,
) -> Features:
    """Return the features of all images, by a backbone that is the same before and after."""
    candidate.move_to(device)
    features = compute_features(candidate, loader, on_batch=progress.advance)
    candidate.backbone.cpu()
    # MoCo's linear protocol checks this too.
    assert weights_hash(candidate.backbone) == candidate.weights_hash, "weights changed"
    return features


def _finetune(
    rule: Rule,
    candidate: FrozenBackbone,
    features: Features,
    train: LabelledImages,
    val: LabelledImages,
    command: EvaluateCommand,
    *,
    key: dict[str, Any],
    device: torch.device,
    workers: int,
    progress: ProgressBar,
    seconds: dict[str, float],
) -> dict[str, Any]:
    """Fine-tune by one rule and return its entry of the results file."""
    recipes = HEAD_RECIPES if rule == "head" else ALL_LAYERS_RECIPES
    name = command.finetune_recipe if command.finetune_recipe in recipes else "simclr"
    recipe = recipes[name]
    settings = FinetuneSettings(
        rule=rule,
        recipe=recipe,
        epochs=command.finetune_epochs or recipe.epochs,
        lr=command.finetune_lr or recipe.lr,
        batch_size=batch_size_of(
            int((features.rows < len(train)).sum()),
            asked=command.finetune_batch_size or recipe.batch_size,
        ),
        seed=command.seed,
        precision=command.precision,
    )
    progress.begin(f"{candidate.name}: fine-tuning, {rule}", counts=False)
    began = time.monotonic()
    epochs = finetune(
        candidate,
        features,
        train,
        val,
        settings,
        state=FinetuneState(
            key | {"labels": hash_of_labels([train, val])} | settings.as_key(),
            epochs=settings.epochs,
            fresh=command.fresh,
            say=partial(say, progress.console),
        ),
        device=device,
        workers=workers,
        on_step=lambda note: progress.update(note=note),
    )
    seconds[f"finetune_{rule}"] = time.monotonic() - began
    about = {"recipe": name, "lr": settings.base_lr, "batch_size": settings.batch_size}
    return (
        about
        | {"epochs": epochs}
        | {key: value for key, value in epochs[-1].items() if key.startswith(("top", "balanced"))}
    )


def _about(candidate: FrozenBackbone) -> dict[str, Any]:
    return {
        "name": candidate.name,
        "source": candidate.source,
        "architecture": candidate.architecture,
        "is_untrained": candidate.is_untrained,
        "weights_hash": candidate.weights_hash,
        "dim": candidate.dim,
        "input_size": candidate.preprocess.size,
        "preprocess": candidate.preprocess.as_json(),
    }
