"""``vidmoco pretrain``: what is checked before torch is imported."""

from dataclasses import replace

from vidmoco.backbones.source import require_sources
from vidmoco.cli.flags import run_config
from vidmoco.config.commands import PretrainCommand
from vidmoco.config.recipe import load_recipe
from vidmoco.config.resume import resumed_config
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
        saved = run_config(command.run)
        config = resumed_config(load_recipe(str(saved)), config, run=saved.parent)

    from vidmoco.train.pretrain import pretrain
    from vidmoco.video.scan_command import print_refusals_of_run

    recipe = "" if command.resume else command.recipe or ""  # of a run that goes on: not known
    result = pretrain(config, run=command.run, resume=command.resume, recipe=recipe)
    print_refusals_of_run(result.run)  # again: the list at the start is far above
    return result.exit_code
