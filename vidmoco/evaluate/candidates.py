"""The backbones of one comparison: loaded, named apart, each with its preprocessing."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from vidmoco.backbones.build import architecture_of, load_backbone, weights_hash
from vidmoco.backbones.preprocess import CropMode, Preprocess, feature_dim, preprocess_of
from vidmoco.errors import ConfigError

RANDOM = "random"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A frozen backbone to compare."""

    name: str
    """What the table calls it; no two are alike."""
    source: str
    """As given: a folder, a timm name, ``random`` or ``random:NAME``."""
    architecture: str
    backbone: nn.Module
    preprocess: Preprocess
    dim: int
    weights_hash: str

    @property
    def is_untrained(self) -> bool:
        """Whether its weights are random."""
        return _is_random(self.source)


def load_candidates(
    sources: Sequence[str],
    *,
    size: int | None = None,
    crop_mode: CropMode | None = None,
    seed: int = 0,
) -> list[Candidate]:
    """Load all backbones before the long work, so that a bad one is told at once.

    ``random`` is the first other backbone with random weights: the same architecture, input size
    and preprocessing. ``random:NAME`` is an untrained backbone NAME with preprocessing of its own.

    Args:
        sources: Run folders, backbone folders, timm names, ``random``, ``random:NAME``.
        size: Input size in pixels; None: each backbone's own.
        crop_mode: Of all; None: each backbone's own.
        seed: Of random weights.

    Raises:
        ConfigError: a source is not there or given twice, ``random`` has nothing to be like, or a
            backbone cannot take the size.
        CheckpointError: weights cannot be loaded.
    """
    for source, count in Counter(sources).items():
        if count > 1:
            raise ConfigError(f"--backbone names {source!r} {count} times; name it once.")
    pattern = next((source for source in sources if not _is_random(source)), None)
    originals = {source: _original(source, pattern=pattern) for source in sources}
    architectures = {
        source: architecture_of(original).partition(".")[0]
        for source, original in originals.items()
    }
    names = display_names(sources, architectures=architectures)
    candidates = []
    for source, original in originals.items():
        # The weights of one backbone do not depend on which others are compared.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            backbone = load_backbone(original, pretrained=not _is_random(source))
        preprocess = preprocess_of(backbone, size=size, crop_mode=crop_mode)
        candidates.append(
            Candidate(
                name=names[source],
                source=source,
                architecture=architectures[source],
                backbone=backbone,
                preprocess=preprocess,
                dim=feature_dim(backbone, preprocess, name=names[source]),
                weights_hash=weights_hash(backbone),
            )
        )
    return candidates


def display_names(sources: Sequence[str], *, architectures: dict[str, str]) -> dict[str, str]:
    """Return a short name for each source: ``run1`` for ``runs/run1/backbone``.

    Sources whose short names are alike keep their full ones.
    """
    short = {source: _short_name(source, architectures[source]) for source in sources}
    count = Counter(short.values())
    return {
        source: name if count[name] == 1 and name not in short.keys() - {source} else source
        for source, name in short.items()
    }


def _original(source: str, *, pattern: str | None) -> str:
    """Return what ``load_backbone`` is asked for."""
    if source == RANDOM:
        if pattern is None:
            raise ConfigError(
                "--backbone random is an untrained copy of the first other backbone, and there is "
                "none. Name one, or an architecture: random:resnet18."
            )
        return pattern
    return source.removeprefix(f"{RANDOM}:")


def _is_random(source: str) -> bool:
    return source == RANDOM or source.startswith(f"{RANDOM}:")


def _short_name(source: str, architecture: str) -> str:
    if _is_random(source):
        return f"random ({architecture})"
    path = Path(source)
    if not path.is_dir():
        return source
    # resolve: "." and "runs/latest" say nothing of which run they are.
    path = path.resolve()
    return path.parent.name if path.name == "backbone" else path.name
