"""The settings of a training.

Each section of a recipe is a frozen dataclass. A recipe (``recipe``) overrides its defaults, and a
flag (``cli/flags``) overrides the recipe. The docstring under a field is its help text on the
command line. A constructor raises ``ConfigError``, naming the flag, for a value out of range.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import AvoidSubcommands, Positional

from vidmoco.config.augment import AugmentConfig
from vidmoco.config.backbone import BackboneConfig
from vidmoco.config.base import Settings
from vidmoco.config.data import DataConfig
from vidmoco.config.fields import Expert, ForVideos
from vidmoco.config.limits import Limits
from vidmoco.config.methods import MethodConfig, MoCoConfig
from vidmoco.config.monitor import MonitorConfig
from vidmoco.config.optim import OptimConfig
from vidmoco.config.runtime import EngineConfig
from vidmoco.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(Settings):
    """All settings that decide what a run computes. Saved as the run's config.yaml."""

    videos: Positional[tuple[Path, ...]] = ()
    """Folders of videos, video files, catalogs (.parquet), or @FILE: a text file with one of these
    per line; or a folder of prepared frames; or images, in folders or Parquet files. An image is
    read as a video of one frame."""
    seed: int = 0
    """Seed of the weights, the order of videos, the pairs and the views."""
    epochs: float = 200
    """Length of the training in epochs. An epoch takes one pair from every video, or from every
    segment of a long one (--data.segments); several if that makes fewer than eight batches."""
    steps: int | None = None
    """Length of the training in steps. It replaces --epochs."""
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
        self.method.check(data=self.data, augment=self.augment, optim=self.optim)
        views = self.augment.large_views + self.augment.small_crops
        if views < self.data.frames_per_video:
            raise ConfigError(
                f"--data.frames-per-video is {self.data.frames_per_video}, but there are only "
                f"{views} views to show them. Give --data.frames-per-video {views}, "
                f"--augment.large-views {self.data.frames_per_video} (MoCo, Fast-MoCo), or more "
                "--augment.small-crops."
            )
