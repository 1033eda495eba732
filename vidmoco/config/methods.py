"""The settings of each method, their ranges, and what they ask of the other sections."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, get_args

from tyro.conf import arg

from vidmoco.config.augment import AugmentConfig
from vidmoco.config.data import DataConfig
from vidmoco.config.method_settings import MethodSettings, SplitBatchNormSettings
from vidmoco.config.optim import OptimConfig
from vidmoco.errors import ConfigError

_MANY_OF_ONE_VIDEO = 2  # assumption: keys in the queue, of thousands, that are worth a word

BatchNormSplits = Annotated[
    int,
    arg(
        help="Batch-norm statistics are taken over this many parts of the batch, as if on so many "
        "GPUs, and keys are shuffled among them (Shuffling BN). 1: over the whole batch. Each of "
        "several processes is at least one part, whatever is given."
    ),
]


@dataclass(frozen=True, kw_only=True)
class MoCoConfig(SplitBatchNormSettings):
    """Momentum Contrast: v1 with a linear head and tau 0.07, v2 with an MLP head and tau 0.2."""

    TAKES_MORE_VIEWS: ClassVar[bool] = True

    name: Literal["moco"] = "moco"
    """The method."""
    head: Literal["linear", "mlp"] = "mlp"
    """Projector: one linear layer (v1) or linear, ReLU, linear (v2)."""
    dim: int = 128
    """Dimension of the embedding."""
    queue_size: int = 65536
    """K, the number of negatives in the queue."""
    momentum: float = 0.999
    """m of the key encoder: key = m * key + (1 - m) * query."""
    momentum_schedule: Literal["constant", "cosine"] = "constant"
    """`constant`, as in the papers, or `cosine`: from m to 1 over the training."""
    tau: float = 0.2
    """Temperature of the softmax."""
    bn_splits: BatchNormSplits = 8
    symmetric: bool = False
    """Each view is query and key in turn, as in the authors' one-GPU demo; the loss is the sum, and
    both keys enter the queue after both halves."""
    batch_negatives: bool = False
    """The keys of the batch's other videos are negatives too, beside those in the queue (VINCE)."""
    same_video: Literal["negative", "masked", "positive"] = "negative"
    """What keys of the query's own video in the queue are: negatives as all others (the papers),
    left out, or positives too."""
    same_video_seconds: float | None = None
    """Only keys within so many seconds of the query's frame count as of the same video; None: all
    of the video."""

    def __post_init__(self) -> None:
        self._require(self.dim >= 1, "dim", "at least 1")
        self._require(self.queue_size >= 1, "queue_size", "at least 1")
        self._require(0 <= self.momentum <= 1, "momentum", "from 0 to 1")
        self._require(self.tau > 0, "tau", "greater than 0")
        self._require(self.bn_splits >= 1, "bn_splits", "at least 1")
        self._require(
            self.same_video_seconds is None or self.same_video_seconds >= 0,
            "same_video_seconds",
            "None, or 0 or more seconds",
        )
        self._require(
            self.same_video_seconds is None or self.same_video != "negative",
            "same_video_seconds",
            "None while --method.same-video is negative",
        )

    @property
    def negatives_in_batch(self) -> bool:
        """Only where the batch's keys are negatives too."""
        return self.batch_negatives

    def check(self, *, data: DataConfig, augment: AugmentConfig, optim: OptimConfig) -> None:
        """Refuse also a queue that one step would fill with more keys than it holds."""
        super().check(data=data, augment=augment, optim=optim)
        key_views = augment.large_views - (0 if self.symmetric else 1)
        keys = data.batch_size * key_views
        if self.queue_size < keys:
            raise ConfigError(
                f"--method.queue-size is {self.queue_size}; it must be at least {keys}, the keys "
                f"of a step: --data.batch-size times {key_views} key views."
            )

    def warning(self, num_videos: int) -> str:
        """Return a warning where the queue holds many keys of each video."""
        own = self.queue_size / num_videos
        if self.same_video != "negative" or own <= _MANY_OF_ONE_VIDEO:
            return ""
        return (
            f"The queue holds {self.queue_size:,} keys of {num_videos:,} videos, so about "
            f"{own:.3g} of a query's negatives are of its own video. Think of --method.same-video "
            "masked, or of a smaller --method.queue-size."
        )


@dataclass(frozen=True, kw_only=True)
class MoCoV3Config(MethodSettings):
    """MoCo v3: no queue, a predictor, both views as queries and keys."""

    HAS_PREDICTOR: ClassVar[bool] = True

    name: Literal["moco_v3"] = "moco_v3"
    """The method."""
    dim: int = 256
    """Dimension of the embedding."""
    hidden_dim: int = 4096
    """Width of the hidden layers of projector and predictor."""
    projector_layers: int = 2
    """Layers of the projector: 2 for ResNets, 3 for transformers."""
    predictor_norm: bool = False
    """Batch norm after the predictor's last layer: for transformers."""
    momentum: float = 0.99
    """m of the key encoder: key = m * key + (1 - m) * query."""
    momentum_schedule: Literal["constant", "cosine"] = "cosine"
    """`cosine`: from m to 1 over the training."""
    tau: float = 1.0
    """Temperature of the softmax: 1 for ResNets, 0.2 for transformers."""

    def __post_init__(self) -> None:
        for name in ("dim", "hidden_dim", "projector_layers"):
            self._require(getattr(self, name) >= 1, name, "at least 1")
        self._require(0 <= self.momentum <= 1, "momentum", "from 0 to 1")
        self._require(self.tau > 0, "tau", "greater than 0")


@dataclass(frozen=True, kw_only=True)
class FastMoCoConfig(MethodSettings):
    """Fast-MoCo: patches of a view, combined after the backbone, against whole views."""

    HAS_PREDICTOR: ClassVar[bool] = True
    TAKES_MORE_VIEWS: ClassVar[bool] = True

    name: Literal["fast_moco"] = "fast_moco"
    """The method."""
    divide: int = 2
    """m: a view is cut into m x m patches."""
    combine: int = 2
    """n: the features of every n of the patches are averaged."""
    dim: int = 2048
    """Dimension of the embedding."""
    hidden_dim: int = 2048
    """Width of the projector's hidden layers."""
    predictor_hidden_dim: int = 512
    """Width of the predictor's hidden layer."""
    momentum: float = 0.99
    """m of the target encoder: target = m * target + (1 - m) * online."""
    momentum_schedule: Literal["constant", "cosine"] = "constant"
    """`constant`, as in the released code, or `cosine`: from m to 1 over the training."""
    tau: float = 1.0
    """Temperature of the softmax."""

    def __post_init__(self) -> None:
        for name in ("dim", "hidden_dim", "predictor_hidden_dim"):
            self._require(getattr(self, name) >= 1, name, "at least 1")
        self._require(1 <= self.divide <= 8, "divide", "from 1 to 8")
        self._require(
            1 <= self.combine <= self.divide**2,
            "combine",
            f"from 1 to the number of patches ({self.divide**2})",
        )
        self._require(0 <= self.momentum <= 1, "momentum", "from 0 to 1")
        self._require(self.tau > 0, "tau", "greater than 0")

    def view_sizes(self, size: int) -> list[int]:
        """Return the sides of views and of their patches."""
        return [size, size // self.divide]

    def check(self, *, data: DataConfig, augment: AugmentConfig, optim: OptimConfig) -> None:
        """Refuse also views that do not divide, and frames that two queries cannot share."""
        super().check(data=data, augment=augment, optim=optim)
        most = 2 * self.divide**2
        if augment.large_views > 2 and (data.frames_per_video % 2 or augment.large_views > most):
            raise ConfigError(
                f"--data.frames-per-video is {data.frames_per_video} and --augment.large-views "
                f"{augment.large_views}; Fast-MoCo takes an even number of frames, a half for each "
                f"query, and at most {most} views, one for each patch of both."
            )
        if augment.size % self.divide:
            raise ConfigError(
                f"--augment.size is {augment.size}; it must be a multiple of --method.divide "
                f"({self.divide})."
            )


@dataclass(frozen=True, kw_only=True)
class SimCLRConfig(MethodSettings):
    """SimCLR: the other views of the batch are the negatives, and all have gradients."""

    name: Literal["simclr"] = "simclr"
    """The method."""
    dim: int = 128
    """Dimension of the embedding."""
    projector_layers: int = 2
    """Layers of the projector: 2 in SimCLR v1, 3 in v2."""
    tau: float = 0.1
    """Temperature of the softmax."""

    def __post_init__(self) -> None:
        for name in ("dim", "projector_layers"):
            self._require(getattr(self, name) >= 1, name, "at least 1")
        self._require(self.tau > 0, "tau", "greater than 0")


@dataclass(frozen=True, kw_only=True)
class EndToEndConfig(SplitBatchNormSettings):
    """The end-to-end mechanism of MoCo's figure 2a: the batch is the dictionary."""

    name: Literal["end_to_end"] = "end_to_end"
    """The method."""
    dim: int = 128
    """Dimension of the embedding."""
    tau: float = 0.07
    """Temperature of the softmax."""
    bn_splits: BatchNormSplits = 8

    def __post_init__(self) -> None:
        self._require(self.dim >= 1, "dim", "at least 1")
        self._require(self.bn_splits >= 1, "bn_splits", "at least 1")
        self._require(self.tau > 0, "tau", "greater than 0")


@dataclass(frozen=True, kw_only=True)
class MemoryBankConfig(MethodSettings):
    """The memory bank of InstDisc: one kept embedding an instance."""

    name: Literal["memory_bank"] = "memory_bank"
    """The method."""
    dim: int = 128
    """Dimension of the embedding."""
    loss: Literal["nce", "softmax", "info_nce"] = "nce"
    """`nce`, or the `softmax` over all instances, both of the paper; or MoCo's `info_nce`."""
    instance_seconds: float | None = None
    """An instance is each part of a video of so many seconds, around multiples of them (of prepared
    frames, 1 / fps: a frame); None: a video."""
    num_negatives: int = 4096
    """Entries that are drawn as negatives (not for `softmax`)."""
    momentum: float = 0.5
    """How much of an entry stays when its instance is seen again."""
    tau: float = 0.07
    """Temperature of the softmax."""

    def __post_init__(self) -> None:
        for name in ("dim", "num_negatives"):
            self._require(getattr(self, name) >= 1, name, "at least 1")
        self._require(
            self.instance_seconds is None or self.instance_seconds > 0,
            "instance_seconds",
            "None or greater than 0 seconds",
        )
        self._require(0 <= self.momentum <= 1, "momentum", "from 0 to 1")
        self._require(self.tau > 0, "tau", "greater than 0")

    @property
    def negatives_in_batch(self) -> bool:
        """The negatives are kept embeddings."""
        return False


MethodConfig = (
    MoCoConfig | MoCoV3Config | FastMoCoConfig | SimCLRConfig | EndToEndConfig | MemoryBankConfig
)
METHOD_CONFIGS: dict[str, type[MethodConfig]] = {kind.name: kind for kind in get_args(MethodConfig)}
