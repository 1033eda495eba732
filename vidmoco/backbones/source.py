"""What ``--backbone`` may name: one grammar for all commands, without torch."""

import os
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from vidmoco.backbones.folder import CONFIG_FILE, check_folder
from vidmoco.config.backbone import BackboneConfig
from vidmoco.errors import ConfigError, nearest
from vidmoco.run_folder import CHECKPOINTS
from vidmoco.run_folder import CONFIG as RUN_CONFIG
from vidmoco.urls import expanded

UNTRAINED = "random"
"""In a comparison: the first other backbone, untrained."""
RANDOM = f"{UNTRAINED}:"
HUB = "hf-hub:"
EXPECTED = (
    "Expected a run folder, a backbone folder, a timm name such as resnet50 or, with its "
    "weights, resnet50.a1_in1k (timm.list_models() and timm.list_pretrained() list them), "
    f"{HUB}OWNER/NAME, or {RANDOM} and one of these for random weights."
)


@dataclass(frozen=True)
class Source:
    """A backbone as the user named it."""

    text: str
    """What the user gave."""
    folder: Path | None
    """The backbone folder, or None for a name of timm or of the hub."""
    is_random: bool
    """Whether only the architecture is meant."""

    @property
    def name(self) -> str:
        """What ``timm.create_model`` takes."""
        if self.folder is not None:
            return f"local-dir:{self.folder}"
        return self.label

    @property
    def label(self) -> str:
        """What errors call it."""
        return self.text.removeprefix(RANDOM)

    @property
    def names_weights(self) -> bool:
        """Whether it means certain weights: a folder, a model of the hub, a name with a tag.

        A timm name without a tag, such as ``resnet50``, may mean just the architecture.
        """
        known = self.folder is not None or self.name.startswith(HUB) or "." in self.name
        return known and not self.is_random

    @property
    def architecture(self) -> str:
        """Timm's name of the architecture; of the hub's models their whole name.

        Raises:
            CheckpointError: the folder is damaged.
        """
        if self.folder is not None:
            return str(check_folder(self.folder)["architecture"])
        return self.name if self.name.startswith(HUB) else self.name.partition(".")[0]


def require_source(source: object) -> None:
    """Refuse what is neither a path nor a name, such as a network in memory.

    Raises:
        ConfigError: it is of another type.
    """
    if not isinstance(source, str | os.PathLike):
        raise ConfigError(
            f"The backbone is of type {type(source).__name__}. {EXPECTED} A network in memory is "
            "saved first: vidmoco.save_backbone(network, FOLDER, size=PIXELS)."
        )


def parse_source(source: str | os.PathLike[str]) -> Source:
    """Return what ``source`` names; no path-like object is a name. timm is not asked for names.

    Raises:
        ConfigError: it is a path at which no backbone is, or neither a path nor a name.
    """
    require_source(source)
    bare = source.removeprefix(RANDOM) if isinstance(source, str) else source
    text = os.fspath(source)
    return Source(text, backbone_folder(bare), is_random=is_random(text))


def unknown_backbone(source: Source, known: Iterable[str]) -> ConfigError:
    """Return the error of a name that is none of ``known``, timm's names."""
    return ConfigError(
        f"Unknown backbone {source.label!r}.{nearest(source.name, known)} {EXPECTED}"
    )


def is_random(source: str) -> bool:
    """Return whether a source names random weights."""
    return source == UNTRAINED or source.startswith(RANDOM)


def backbone_folder(source: str | os.PathLike[str]) -> Path | None:
    """Return the backbone folder that ``source`` means, or None if it looks like a name.

    Raises:
        ConfigError: ``source`` is a path without a backbone.
    """
    path = expanded(Path(source))
    if (path / "backbone" / CONFIG_FILE).is_file():
        return path / "backbone"
    if path.is_dir():
        return path
    text = os.fspath(source)
    looks_like_path = not isinstance(source, str) or "/" in text or text.startswith((".", "~"))
    if path.is_file():
        raise ConfigError(f"{text} is a file, and a backbone is a folder. {_folder_of(path)}")
    if path.exists() or (looks_like_path and not text.startswith(HUB)):
        raise ConfigError(f"There is no backbone at {text}. {EXPECTED}")
    return None


def _folder_of(path: Path) -> str:
    """Return what to name in place of a file, as a sentence."""
    run = run_of_checkpoint(path) or path.parent
    if (run / RUN_CONFIG).is_file():
        return f"Name its run: {run}"
    if (path.parent / CONFIG_FILE).is_file():
        return f"Name its folder: {path.parent}"
    return (
        "Make one of a checkpoint, and name that: "
        f"vidmoco import {shlex.quote(str(path))} -o FOLDER"
    )


def run_of_checkpoint(path: Path) -> Path | None:
    """Return the run folder that a checkpoint of a training is in, or None if it is none."""
    run = path.absolute().parent.parent if path.parent == Path() else path.parent.parent
    known = path.parent.absolute().name == CHECKPOINTS and (run / RUN_CONFIG).is_file()
    return run if known and path.is_file() else None


def require_checkpoint(path: Path) -> None:
    """Refuse to import what is a backbone already, or no file.

    Raises:
        ConfigError: it is a folder, or a checkpoint of a run.
    """
    path = expanded(path)
    if (run := run_of_checkpoint(path)) is not None:
        raise ConfigError(f"{path} is of vidmoco. {of_vidmoco(str(run))}")
    if not path.is_dir():
        return
    if any((path / name).is_file() for name in (RUN_CONFIG, CONFIG_FILE)):
        raise ConfigError(
            f"{path} is a {'run' if (path / RUN_CONFIG).is_file() else 'backbone'} folder, which "
            f"needs no import. Name it where a backbone is wanted: --backbone {path}"
        )
    raise ConfigError(f"{path} is a folder; expected the file of a checkpoint.")


def of_vidmoco(run: str) -> str:
    """Return what to do with a checkpoint of a training here, as sentences."""
    return (
        f"It needs no import: name its run where a backbone is wanted, --backbone {run}. A run "
        f"that was killed goes on with: vidmoco pretrain --run {run} --resume"
    )


def lasting(source: str) -> str:
    """Return what ``--backbone`` may name, so that it is found from any working folder.

    A path becomes absolute, without links: ``runs/latest`` will lead to another run.

    Raises:
        ConfigError: ``source`` is a path without a backbone.
    """
    bare = source.removeprefix(RANDOM)
    if backbone_folder(bare) is None:
        return source
    return source[: -len(bare)] + str(expanded(Path(bare)).resolve())


def with_lasting_sources(config: BackboneConfig) -> BackboneConfig:
    """Return the settings of a backbone, whose sources are found when the run is resumed.

    Raises:
        ConfigError: a source is a path without a backbone.
    """
    weights = config.weights and lasting(config.weights)
    return replace(config, name=lasting(config.name), weights=weights)


def without_folder(source: str) -> str:
    """Return what ``--backbone`` may name, with only the last part of a path."""
    bare = source.removeprefix(RANDOM)
    return source if bare.startswith(HUB) else source[: -len(bare)] + Path(bare).name
