"""What the settings of every method provide to the rest of the program."""

from dataclasses import replace
from typing import Annotated, ClassVar

from tyro.conf import arg

from vidmoco.config.augment import AugmentConfig
from vidmoco.config.base import Settings
from vidmoco.config.data import DataConfig
from vidmoco.config.optim import OptimConfig
from vidmoco.errors import ConfigError


class MethodSettings(Settings):
    """Base of a method's settings. The fields of a subclass are the arguments of the method."""

    SECTION: ClassVar[str] = "method"
    HAS_PREDICTOR: ClassVar[bool] = False
    TAKES_MORE_VIEWS: ClassVar[bool] = False
    """Whether the method takes more than two large views of a video."""
    CONTRASTS_VIEWS: ClassVar[bool] = True
    """Whether the positive is another view. Else only the first large view is used."""
    name: str
    dim: int

    @property
    def negatives_in_batch(self) -> bool:
        """Whether the negatives come from the batch, so that micro-batches would reduce them."""
        return True

    @property
    def num_parts(self) -> int:
        """The number of equal parts of a batch that have batch-norm statistics of their own."""
        return 1

    def view_sizes(self, size: int) -> list[int]:
        """Return the sides in pixels of the backbone's inputs, for views of side ``size``."""
        return [size]

    def share_of(self, num_processes: int) -> "MethodSettings":
        """Return the settings of one of several processes that train together.

        Raises:
            ConfigError: the processes cannot share a batch.
        """
        return self

    def warning(self, number: int, noun: str = "video") -> str:
        """Return a warning about training on this many videos, segments or images, or ""."""
        if number > 1:
            return ""
        return (
            "There is only one video, segment or image, and no other to tell it from: nothing can "
            "be learnt. Give more, or leave out --data.segments whole."
        )

    def check(self, *, data: DataConfig, augment: AugmentConfig, optim: OptimConfig) -> None:
        """Check that the other sections fit the method.

        Raises:
            ConfigError: they do not; the message names the flags.
        """
        parts = optim.accumulate * self.num_parts
        if data.batch_size % parts or data.batch_size // parts < 2:
            raise ConfigError(self._batch_fault(data.batch_size, optim.accumulate))
        if optim.accumulate > 1 and self.negatives_in_batch:
            raise ConfigError(
                f"--optim.accumulate is {optim.accumulate}, but {self.name} takes its negatives "
                "from the batch, and micro-batches would reduce them. Give 1, and a smaller "
                "--data.batch-size if memory is short."
            )
        if optim.predictor_lr and not self.HAS_PREDICTOR:
            raise ConfigError(
                f"--optim.predictor-lr is {optim.predictor_lr}, but {self.name} has no predictor. "
                "Leave it out."
            )
        if augment.large_views > 2 and not self.TAKES_MORE_VIEWS:
            raise ConfigError(
                f"--augment.large-views is {augment.large_views}, but {self.name} takes 2. For "
                "more frames, give --augment.small-crops."
            )

    def _batch_fault(self, size: int, accumulate: int) -> str:
        """Return that a batch cannot be split into its parts, and the nearest settings that can."""
        parts = accumulate * self.num_parts
        advice, of_splits = f"Give --data.batch-size {max(2, round(size / parts)) * parts}", ""
        if self.num_parts > 1:
            fewer = range(self.num_parts - 1, 0, -1)
            fitting = [
                n for n in fewer if size % (accumulate * n) == 0 and size >= 2 * accumulate * n
            ]
            advice += f" or --method.bn-splits {fitting[0]}" if fitting else ""
            of_splits = f" times --method.bn-splits ({self.num_parts})"
        return (
            f"--data.batch-size is {size}; it must be a multiple of --optim.accumulate "
            f"({accumulate}){of_splits}, of the recipe where you give none, with at least 2 pairs "
            f"in each part. {advice}."
        )


BatchNormSplits = Annotated[
    int,
    arg(
        help="Number of equal parts of the batch, each with its own batch-norm statistics, as on "
        "this many GPUs. Keys are shuffled between the parts (Shuffling BN). With several "
        "processes, each has at least one part."
    ),
]


class SplitBatchNormSettings(MethodSettings):
    """Settings of methods with Shuffling BN (He et al. 2020, section 3.3)."""

    bn_splits: BatchNormSplits

    @property
    def num_parts(self) -> int:
        """``bn_splits``."""
        return self.bn_splits

    def share_of(self, num_processes: int) -> "MethodSettings":
        """Return the settings with one process's share of the parts.

        Raises:
            ConfigError: the processes cannot share the parts equally.
        """
        if max(self.bn_splits, num_processes) % min(self.bn_splits, num_processes):
            raise ConfigError(
                f"--method.bn-splits is {self.bn_splits}, which {num_processes} processes cannot "
                f"share equally. Give 1 or {num_processes}."
            )
        return replace(self, bn_splits=max(1, self.bn_splits // num_processes))  # type: ignore[type-var]
