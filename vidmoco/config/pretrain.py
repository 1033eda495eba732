"""Everything that decides what a training computes.

Plain frozen dataclasses, one a section of a recipe. A recipe (``recipe``) or a flag (``cli/main``)
replaces a default; nothing else does. The docstring under a field is its help text on the command
line. A constructor raises ``ConfigError``, naming the flag, for a value out of range.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import AvoidSubcommands, Positional

from vidmoco.config.augment import AugmentConfig
from vidmoco.config.backbone import BackboneConfig
from vidmoco.config.base import Ranged
from vidmoco.config.data import DataConfig
from vidmoco.config.fields import Expert, ForVideos
from vidmoco.config.limits import Limits
from vidmoco.config.methods import (
    FastMoCoConfig,
    MemoryBankConfig,
    MethodConfig,
    MoCoConfig,
    MoCoV3Config,
)
from vidmoco.config.monitor import MonitorConfig
from vidmoco.config.optim import OptimConfig
from vidmoco.config.runtime import EngineConfig
from vidmoco.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(Ranged):
    """Everything that decides what a run computes; saved as the run's config.yaml."""

    videos: Positional[tuple[Path, ...]] = ()
    """Folders of videos, video files or catalogs (.parquet); a folder of prepared frames; or
    folders of images, or Parquet files of them, where each image is a video of one frame."""
    seed: int = 0
    """Seed of the weights, of the order, of the pairs and of the views."""
    epochs: float = 200
    """Length of the training; an epoch takes one pair from every video."""
    steps: int | None = None
    """Length of the training in steps, in place of --epochs."""
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    method: Annotated[MethodConfig, AvoidSubcommands] = field(default_factory=MoCoConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    monitor: MonitorConfig = field(default_factory=MonitorConfig)
    limits: Expert[ForVideos] = field(default_factory=Limits)

    def __post_init__(self) -> None:
        self._is_seed()
        self._require(0 < self.epochs <= 1e9, "epochs", "greater than 0, and at most 1e9")
        self._at_least(1, "steps")
        bn_splits = getattr(self.method, "bn_splits", 1)
        parts = self.optim.accumulate * bn_splits
        if self.data.batch_size % parts or self.data.batch_size // parts < 2:
            raise ConfigError(
                f"--data.batch-size is {self.data.batch_size}; it must be a multiple of "
                f"--optim.accumulate ({self.optim.accumulate}) times --method.bn-splits "
                f"({bn_splits}), with at least 2 pairs in each part."
            )
        if isinstance(self.method, MoCoConfig):
            key_views = self.augment.large_views - (0 if self.method.symmetric else 1)
            keys = self.data.batch_size * key_views
            if self.method.queue_size < keys:
                raise ConfigError(
                    f"--method.queue-size is {self.method.queue_size}; it must be at least {keys}, "
                    f"the keys of a step: --data.batch-size times {key_views} key views."
                )
        in_batch = not isinstance(self.method, MoCoConfig | MemoryBankConfig)
        if self.optim.accumulate > 1 and (
            in_batch or getattr(self.method, "batch_negatives", False)
        ):
            raise ConfigError(
                f"--optim.accumulate is {self.optim.accumulate}, and negatives of "
                f"{self.method.name} are the batch itself, which micro-batches would cut. Give 1, "
                "and a smaller --data.batch-size if memory is short."
            )
        if self.optim.predictor_lr and not isinstance(self.method, MoCoV3Config | FastMoCoConfig):
            raise ConfigError(
                f"--optim.predictor-lr is {self.optim.predictor_lr}, and {self.method.name} has no "
                "predictor. Leave it out."
            )
        views = self.augment.large_views + self.augment.small_crops
        if views < self.data.frames_per_video:
            raise ConfigError(
                f"--data.frames-per-video is {self.data.frames_per_video}, and only {views} views "
                "are made of them. Give more --augment.large-views (MoCo, Fast-MoCo) or "
                "--augment.small-crops."
            )
        if self.augment.large_views > 2 and not isinstance(
            self.method, MoCoConfig | FastMoCoConfig
        ):
            raise ConfigError(
                f"--augment.large-views is {self.augment.large_views}, and {self.method.name} "
                "takes 2. Small crops (--augment.small-crops) may be of further frames."
            )
        if isinstance(self.method, FastMoCoConfig) and self.augment.large_views > 2:
            most = 2 * self.method.divide**2
            if self.data.frames_per_video % 2 or self.augment.large_views > most:
                raise ConfigError(
                    f"--data.frames-per-video is {self.data.frames_per_video} and "
                    f"--augment.large-views {self.augment.large_views}; Fast-MoCo takes an even "
                    f"number of frames, a half for each query, and at most {most} views, one for "
                    "each patch of both."
                )
        if isinstance(self.method, FastMoCoConfig) and self.augment.size % self.method.divide:
            raise ConfigError(
                f"--augment.size is {self.augment.size}; it must be a multiple of --method.divide "
                f"({self.method.divide})."
            )
