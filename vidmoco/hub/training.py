"""What a model card says of a training: its data, its settings, and how to repeat it."""

from dataclasses import replace

from vidmoco import run_folder
from vidmoco.backbones.source import without_folder
from vidmoco.config.monitor import MonitorConfig
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.config.recipe import changed_values, dump_recipe
from vidmoco.config.resume import changes_no_step
from vidmoco.errors import ConfigError
from vidmoco.hub.markdown import table, text
from vidmoco.json_text import read_json
from vidmoco.report.run_facts import RunFacts
from vidmoco.report.run_sections import duration
from vidmoco.text import counted
from vidmoco.video.catalog import Catalog

RECIPE_FILE, CURVE_FILE = "recipe.yaml", "training.png"


def data_section(facts: RunFacts) -> str:
    """Return the amount and the kind of the data, without paths and names."""
    lines = [*_videos_of(facts), "The data itself is not in this repository."]
    if facts.config is not None and not facts.config.method.CONTRASTS_VIEWS:
        lines.append("The positive of a view is the stored embedding of its video or image.")
    elif facts.config is not None and facts.config.data.single_frame:
        lines.append("Both views of a pair are cut from one frame.")
    elif facts.config is not None and not (facts.folder / run_folder.FRAMES).is_file():
        gap = facts.config.data.max_gap
        apart = f", at most {gap:g} s apart" if gap is not None else ""
        lines.append(f"A positive pair is two frames of one video{apart}.")
    return " ".join(lines)


def is_of_images(facts: RunFacts) -> bool:
    """Return whether a run was trained on single images, and not on videos."""
    try:
        return bool(read_json(facts.folder / run_folder.FRAMES)["format"] == "vidmoco.images")
    except (OSError, ValueError, TypeError, KeyError):
        return False


def _videos_of(facts: RunFacts) -> list[str]:
    """Return sentences from the catalog, or from the note of prepared frames or images."""
    catalog = facts.folder / run_folder.CATALOG
    if catalog.is_file():
        try:
            listed = Catalog.load(catalog, older=True)
        except ConfigError:  # of a version that this one cannot read
            return _number_of(facts)
        videos = listed.readable()
        seconds = videos.column("duration_seconds").sum() if len(videos) else 0.0
        refused = len(listed) - len(videos)
        left_out = f" {counted(refused, 'file')} could not be read." if refused else ""
        return [f"{counted(len(videos), 'video')}, {_time(float(seconds))} in all.{left_out}"]
    try:
        key = read_json(facts.folder / run_folder.FRAMES)
        if key["format"] == "vidmoco.images":
            return [f"{counted(int(key['images']), 'image')}, each a video of one frame."]
        frames = counted(int(key["num_frames"]), "prepared frame")
        return [f"{frames} of {counted(int(key['num_videos']), 'video')}."]
    except (OSError, ValueError, TypeError, KeyError):
        return _number_of(facts)


def _number_of(facts: RunFacts) -> list[str]:
    number = facts.provenance.get("num_videos")
    return [f"{counted(number, 'video')}."] if isinstance(number, int) else []


def _time(seconds: float) -> str:
    return f"{seconds / 3600:,.1f} hours" if seconds >= 3600 else duration(seconds)


def settings_section(facts: RunFacts) -> str:
    """Return length, machine, and the settings that differ from the recipe and decide a step."""
    parts = [_length(facts)]
    if facts.config is not None:
        name, base = facts.base_recipe()
        rows = [
            [f"`{key}`", *(text("" if one is None else one) for one in values)]
            for key, values in changed_values(published(facts.config), base).items()
            if not changes_no_step(key)
        ]
        if rows:
            parts.append(f"Settings that differ from {text(name)}:")
            parts.append(table(["setting", "this run", "recipe"], rows))
        else:
            parts.append(f"All settings that decide what is learnt are those of {text(name)}.")
    return "\n\n".join(parts)


def _length(facts: RunFacts) -> str:
    saved_at = facts.provenance.get("steps")
    steps = saved_at if isinstance(saved_at, int) else facts.last["step"]
    total = facts.total_steps or steps
    words = [f"{steps:,} of {total:,} steps" if steps < total else f"{steps:,} steps"]
    epoch = facts.last.get("epoch")
    if isinstance(epoch, int | float):
        words.append(f"{epoch:,.4g} epochs")
    if facts.seconds:
        words.append(duration(facts.seconds))
    device = facts.environment.get("device")
    if isinstance(device, str):
        words.append("on a CPU" if device == "cpu" else f"on {text(device)}")
    packages = facts.environment.get("packages")
    packages = packages if isinstance(packages, dict) else {}
    known = [
        f"{name} {packages[name]}" for name in ("vidmoco", "torch", "timm") if name in packages
    ]
    return ", ".join(words) + (f" ({text(', '.join(known))})." if known else ".")


def published(config: PretrainConfig) -> PretrainConfig:
    """Return the settings of a run without places on its machine.

    The monitor and the loggers are left out, which change no training; of a folder of weights the
    last part of its name stays.
    """
    weights, name = config.backbone.weights, config.backbone.name
    backbone = replace(
        config.backbone,
        name=without_folder(name),
        weights=None if weights is None else without_folder(weights),
    )
    engine = replace(config.engine, log=())
    return replace(config, videos=(), monitor=MonitorConfig(), backbone=backbone, engine=engine)


def recipe_text(config: PretrainConfig, *, name: str) -> str:
    """Return the file that repeats the training with ``pretrain --recipe``."""
    return f"# The settings of {name}: vidmoco pretrain videos/ --recipe {RECIPE_FILE}\n" + (
        dump_recipe(published(config))
    )
