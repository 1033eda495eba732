"""``vidmoco pretrain``: what is checked before torch is imported."""

import re
from dataclasses import replace
from pathlib import Path

from vidmoco.backbones.source import require_sources
from vidmoco.cli.flags import run_config
from vidmoco.config.commands import PretrainCommand
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.config.recipe import differences, load_recipe, to_plain
from vidmoco.errors import ConfigError
from vidmoco.urls import absolute, expand_lists, require_paths


def run_pretrain(command: PretrainCommand) -> int:
    """Train, or resume a run; return the exit code.

    Raises:
        ConfigError: there are no videos, or a resumed run is asked for with other settings.
    """
    config = command.config
    if not command.resume and not config.videos:
        raise ConfigError("No videos given. Name a folder of videos: vidmoco pretrain videos/")
    videos = expand_lists(config.videos)
    if not command.resume:
        require_paths(*videos)
    require_paths(config.monitor.images)
    require_sources(config.backbone.name, config.backbone.weights)
    config = replace(config, videos=tuple(absolute(path) for path in videos))
    if config.monitor.images is not None:
        images = absolute(config.monitor.images)
        config = replace(config, monitor=replace(config.monitor, images=images))
    if command.resume:
        saved = load_recipe(str(run_config(command.run)))
        if config.epochs != saved.epochs and config.steps == saved.steps:
            config = replace(config, steps=None)  # --epochs is given
        changed = [
            line
            for line in differences(to_plain(saved), to_plain(config))
            if not line.startswith(_free_on_resume(saved, config, command.run))
        ]
        if saved.method.name != config.method.name:  # the name covers its settings
            changed = [line for line in changed if not re.match(r"method\.(?!name:)", line)]
        if changed:
            raise ConfigError(
                "A run resumes with the settings it began with. Saved and given settings differ in "
                f"{'; '.join(sorted(changed))}. Leave out these flags, or start a new run."
            )

    from vidmoco.run_folder import LATEST, new_run_name
    from vidmoco.train.pretrain import pretrain
    from vidmoco.video.scan_command import print_refusals_of_run

    recipe = "" if command.resume else command.recipe or ""  # of a run that goes on: not known
    run = command.run or (LATEST.resolve() if command.resume else new_run_name(recipe))
    result = pretrain(config, run=run, resume=command.resume, recipe=recipe)
    print_refusals_of_run(result.run)  # again: the list at the start is far above
    return result.exit_code


# These settings do not change what a step computes.
_FREE_ON_RESUME = ("epochs:", "steps:", "engine.", "data.workers:", "data.decoder:", "limits.",
                   "monitor.every_epochs:", "monitor.batch_size:", "monitor.max_gib:")  # fmt: skip


def _free_on_resume(
    saved: PretrainConfig, given: PretrainConfig, run: Path | None
) -> tuple[str, ...]:
    """Return prefixes of the settings that may change on a resume.

    They include all of a monitor that begins or ends with the resume. A monitor that continues must
    measure the same, so that its curve stays comparable. Prepared frames may have moved: the run
    holds their key, which tells whether they are the same.
    """
    monitored = [one.monitor.images is not None or one.monitor.retrieval for one in (saved, given)]
    movable = ("videos:",) if (run_config(run).parent / "frames.json").exists() else ()
    return (*_FREE_ON_RESUME, *movable, *(() if all(monitored) else ("monitor.",)))
