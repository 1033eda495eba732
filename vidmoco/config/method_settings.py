"""What the rest of the program asks the settings of any method."""

from dataclasses import replace
from typing import ClassVar

from vidmoco.config.augment import AugmentConfig
from vidmoco.config.base import Settings
from vidmoco.config.data import DataConfig
from vidmoco.config.optim import OptimConfig
from vidmoco.errors import ConfigError


class MethodSettings(Settings):
    """Settings of a method: a dataclass whose fields are the arguments of its class."""

    SECTION: ClassVar[str] = "method"
    HAS_PREDICTOR: ClassVar[bool] = False
    TAKES_MORE_VIEWS: ClassVar[bool] = False
    """Whether it takes more than two large views of a video."""
    name: str
    dim: int

    @property
    def negatives_in_batch(self) -> bool:
        """Whether micro-batches would cut the negatives."""
        return True

    @property
    def num_parts(self) -> int:
        """The equal parts of a batch that its batch norms see one by one."""
        return 1

    def view_sizes(self, size: int) -> list[int]:
        """Return the sides in pixels of what the backbone gets, of views of ``size``."""
        return [size]

    def share_of(self, num_processes: int) -> "MethodSettings":
        """Return the settings of one of several processes that train together.

        Raises:
            ConfigError: they cannot share a batch.
        """
        return self

    def warning(self, num_videos: int) -> str:
        """Return a warning about a training on so many videos, or an empty string."""
        return ""

    def check(self, *, data: DataConfig, augment: AugmentConfig, optim: OptimConfig) -> None:
        """Refuse other sections that do not fit.

        Raises:
            ConfigError: names the flags.
        """
        parts = optim.accumulate * self.num_parts
        if data.batch_size % parts or data.batch_size // parts < 2:
            raise ConfigError(
                f"--data.batch-size is {data.batch_size}; it must be a multiple of "
                f"--optim.accumulate ({optim.accumulate}) times --method.bn-splits "
                f"({self.num_parts}), with at least 2 pairs in each part."
            )
        if optim.accumulate > 1 and self.negatives_in_batch:
            raise ConfigError(
                f"--optim.accumulate is {optim.accumulate}, and negatives of {self.name} are the "
                "batch itself, which micro-batches would cut. Give 1, and a smaller "
                "--data.batch-size if memory is short."
            )
        if optim.predictor_lr and not self.HAS_PREDICTOR:
            raise ConfigError(
                f"--optim.predictor-lr is {optim.predictor_lr}, and {self.name} has no predictor. "
                "Leave it out."
            )
        if augment.large_views > 2 and not self.TAKES_MORE_VIEWS:
            raise ConfigError(
                f"--augment.large-views is {augment.large_views}, and {self.name} takes 2. Small "
                "crops (--augment.small-crops) may be of further frames."
            )


class SplitBatchNormSettings(MethodSettings):
    """Settings of methods with Shuffling BN (He et al. 2020, section 3.3)."""

    bn_splits: int

    @property
    def num_parts(self) -> int:
        """The parts that batch norms are split into."""
        return self.bn_splits

    def share_of(self, num_processes: int) -> "MethodSettings":
        """Return the settings with this process's share of the parts.

        Raises:
            ConfigError: the processes cannot share them.
        """
        if max(self.bn_splits, num_processes) % min(self.bn_splits, num_processes):
            raise ConfigError(
                f"--method.bn-splits is {self.bn_splits}, which {num_processes} processes cannot "
                f"share. Give 1 or {num_processes}."
            )
        return replace(self, bn_splits=max(1, self.bn_splits // num_processes))  # type: ignore[type-var]
