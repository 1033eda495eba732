"""``vidmoco pretrain``: what is checked before torch is imported."""

import os
from dataclasses import replace
from typing import Literal

from vidmoco.ahead import load_libraries
from vidmoco.backbones.source import with_lasting_sources
from vidmoco.backbones.timm_names import require_sources
from vidmoco.cli.resume_words import run_config
from vidmoco.config.commands import PretrainCommand
from vidmoco.config.recipe import load_recipe
from vidmoco.config.resume import has_checkpoint, resumed_config
from vidmoco.cores import require_device
from vidmoco.errors import ConfigError
from vidmoco.run_folder import RUNS, require_empty, require_place
from vidmoco.urls import absolute, expand_lists, expanded, require_paths

RESUME: dict[str, bool | Literal["auto"]] = {"no": False, "yes": True, "auto": "auto"}


def run_pretrain(command: PretrainCommand) -> int:
    """Train, or resume a run; return the exit code.

    Raises:
        ConfigError: there are no videos, or a resumed run is asked for with other settings.
    """
    config = command.config
    command = replace(command, run=command.run and expanded(command.run))
    if command.resume == "auto" and command.run is None:
        raise ConfigError("--resume auto looks for a checkpoint in a run folder. Give --run.")
    goes_on = command.resume == "yes" or (command.resume == "auto" and has_checkpoint(command.run))
    if not goes_on and not config.videos:
        raise ConfigError("No videos given. Name a folder of videos: vidmoco pretrain videos/")
    videos = expand_lists(config.videos)
    if not goes_on:
        require_paths(*videos)
    require_device(config.engine.device)
    require_paths(config.monitor.images)
    require_sources(config.backbone.name, config.backbone.weights)
    require_place(command.run or RUNS, flag="--run", is_folder=True)
    config = replace(config, videos=tuple(absolute(path) for path in videos))
    if not goes_on:
        config = replace(config, backbone=with_lasting_sources(config.backbone))
    if config.monitor.images is not None:
        images = absolute(config.monitor.images)
        config = replace(config, monitor=replace(config.monitor, images=images))
    if goes_on:
        path = run_config(command.run)
        saved = load_recipe(str(path))
        config = replace(config, videos=config.videos or saved.videos)
        config = resumed_config(saved, config, run=path.parent)

    catalog = None
    if not goes_on and "RANK" not in os.environ:
        if command.run is not None and command.resume == "no":
            require_empty(command.run)
        from vidmoco.data.catalog_ahead import catalog_ahead

        catalog = catalog_ahead(config)
    load_libraries()
    from vidmoco.train.pretrain import pretrain
    from vidmoco.video.scan_command import print_refusals_of_run

    result = pretrain(
        config,
        run=command.run,
        resume=RESUME[command.resume],
        recipe=command.recipe or "",
        catalog=catalog,
    )
    print_refusals_of_run(result.run)  # again: the list at the start is far above
    return result.exit_code
