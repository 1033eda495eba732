"""The settings of a training: its sections together, and the limits of its videos."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import AvoidSubcommands, Positional, arg

from vidmoco.config.base import Ranged
from vidmoco.config.limits import Limits
from vidmoco.config.methods import MethodConfig, MoCoConfig
from vidmoco.config.monitor import MonitorConfig
from vidmoco.config.sections import (
    AugmentConfig,
    BackboneConfig,
    DataConfig,
    EngineConfig,
    OptimConfig,
)
from vidmoco.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class LimitsConfig(Ranged):
    """What a video may be and may cost; all that is real passes the defaults."""

    max_pixels: int = Limits.max_pixels
    """Refuse videos with more pixels in a picture; the default is 8K."""
    max_duration: float = Limits.max_duration
    """Refuse videos longer than this, in seconds."""
    max_frames: int = Limits.max_frames
    """Refuse videos of more frames."""
    max_memory_per_worker: float = Limits.max_memory / 2**30
    """GiB that a decoding process may use for one video, on top of what it needs for itself."""
    max_seconds: float = Limits.max_seconds
    """Seconds after which a silent decoder is killed and its video skipped."""
    follow_links: bool = False
    """Also read what links lead to outside of the folders."""

    def __post_init__(self) -> None:
        self._require(1 <= self.max_pixels < 2**31, "max_pixels", "from 1 to 2^31 - 1")
        self._require(self.max_duration > 0, "max_duration", "greater than 0 seconds")
        self._require(self.max_frames >= 1, "max_frames", "at least 1")
        self._require(
            0 < self.max_memory_per_worker <= 2**20,
            "max_memory_per_worker",
            "greater than 0 GiB, and at most 2^20",
        )
        self._require(
            0 < self.max_seconds <= 10**6, "max_seconds", "greater than 0 seconds, and at most 10^6"
        )


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
    limits: Annotated[LimitsConfig, arg(name="")] = field(default_factory=LimitsConfig)

    def __post_init__(self) -> None:
        self._require(0 <= self.seed < 2**63, "seed", "from 0 to 2^63 - 1")
        self._require(0 < self.epochs <= 1e9, "epochs", "greater than 0, and at most 1e9")
        self._require(self.steps is None or self.steps >= 1, "steps", "None or at least 1")
        self.method.check(data=self.data, augment=self.augment, optim=self.optim)
        views = self.augment.large_views + self.augment.small_crops
        if views < self.data.frames_per_video:
            raise ConfigError(
                f"--data.frames-per-video is {self.data.frames_per_video}, and only {views} views "
                "are made of them. Give more --augment.large-views (MoCo, Fast-MoCo) or "
                "--augment.small-crops."
            )
