"""The backbones of one comparison: loaded, and named apart."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from vidmoco.backbones.frozen import FrozenBackbone, load_frozen
from vidmoco.backbones.preprocess import CropMode
from vidmoco.backbones.source import RANDOM, UNTRAINED, is_random
from vidmoco.errors import ConfigError


def load_candidates(
    sources: Sequence[str],
    *,
    size: int | None = None,
    crop_mode: CropMode | None = None,
    precision: Literal["bf16", "fp32"] = "fp32",
    seed: int = 0,
    loaded: Mapping[str, FrozenBackbone] | None = None,
) -> list[FrozenBackbone]:
    """Load all backbones before the long work, so that a bad one is told at once.

    Args:
        sources: As ``load_frozen`` takes them, and ``random``: the first other backbone with random
            weights.
        size: Input size in pixels. None means each backbone's own.
        crop_mode: None means each backbone's own.
        precision: Arithmetic of all.
        seed: Decides random weights.
        loaded: What the caller has loaded of some sources, and means by them.

    Raises:
        ConfigError: A source is not there or given twice, ``random`` has nothing to be like, a
            backbone cannot take the size, or is not what the caller has loaded.
        CheckpointError: Weights cannot be loaded.
    """
    for source, count in Counter(sources).items():
        if count > 1:
            raise ConfigError(f"--backbone names {source!r} {count} times; name it once.")
    pattern = next((source for source in sources if not is_random(source)), None)
    candidates = []
    for source in sources:
        if source == UNTRAINED and pattern is None:
            raise ConfigError(
                "--backbone random is an untrained copy of the first other backbone, and there is "
                "none. Name one, or an architecture: random:resnet18."
            )
        candidates.append(
            load_frozen(
                f"{RANDOM}{pattern}" if source == UNTRAINED else source,
                size=size,
                crop_mode=crop_mode,
                precision=precision,
                seed=seed,
            )
        )
    for source, candidate in zip(sources, candidates, strict=True):
        _require_same((loaded or {}).get(source, candidate), candidate)
    names = display_names(
        sources,
        architectures={
            source: candidate.architecture.partition(".")[0]
            for source, candidate in zip(sources, candidates, strict=True)
        },
    )
    return [
        replace(candidate, source=source, name=names[source])
        for source, candidate in zip(sources, candidates, strict=True)
    ]


def _require_same(given: FrozenBackbone, loaded: FrozenBackbone) -> None:
    decisive = ("weights_hash", "preprocess", "precision", "feature")
    if other := [name for name in decisive if getattr(given, name) != getattr(loaded, name)]:
        raise ConfigError(
            f"The backbone {given.source!r} is loaded again for the comparison, and then has "
            f"another {' and '.join(other)}. Name it, and give the comparison its size, crop_mode "
            "and precision."
        )


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


def _short_name(source: str, architecture: str) -> str:
    if is_random(source):
        return f"random ({architecture})"
    path = Path(source)
    if not path.is_dir():
        return source
    # resolve: "." and "runs/latest" say nothing of which run they are.
    path = path.resolve()
    return path.parent.name if path.name == "backbone" else path.name
