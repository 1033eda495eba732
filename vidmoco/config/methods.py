"""Settings of each method, and the checks of other sections that it needs."""

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from vidmoco.config.augment import AugmentConfig
from vidmoco.config.data import DataConfig
from vidmoco.config.fields import Expert
from vidmoco.config.method_settings import (
    BatchNormSplits,
    MethodSettings,
    SplitBatchNormSettings,
)
from vidmoco.config.optim import OptimConfig
from vidmoco.errors import ConfigError
from vidmoco.text import counted

_MANY_OF_ONE_VIDEO = 2  # assumption: with more keys per video in the queue, a warning is due


@dataclass(frozen=True, kw_only=True)
class MoCoConfig(SplitBatchNormSettings):
    """Momentum Contrast: v1 with a linear head and tau 0.07, v2 with an MLP head and tau 0.2."""

    TAKES_MORE_VIEWS: ClassVar[bool] = True

    name: Literal["moco"] = "moco"
    """The method."""
    head: Literal["linear", "mlp", "mlp_bn"] = "mlp"
    """The projector: one linear layer (v1), two with a ReLU between them (v2), or the latter with
    batch norm after each layer (`mlp_bn`, SimCLR's)."""
    dim: int = 128
    """Dimension of the embedding."""
    queue_size: int = 65536
    """K, the number of negatives in the queue."""
    queue_from: Expert[float] = 0.0
    """The queue's keys are negatives from this fraction of the training on (XBM's warm-up). Before,
    those of the batch are the only ones. 0 is the papers' choice."""
    momentum: float = 0.999
    """m of the key encoder: key = m * key + (1 - m) * query."""
    momentum_schedule: Literal["constant", "cosine"] = "constant"
    """`constant` is the papers' choice. `cosine` raises m to 1 over the training."""
    tau: float = 0.2
    """Temperature of the softmax."""
    bn_splits: BatchNormSplits = 8
    symmetric: bool = False
    """Use each view as query and as key, as in the authors' one-GPU demo. The loss is the sum of
    both directions, and the keys enter the queue after both losses."""
    batch_negatives: bool = False
    """Also use the keys of the batch's other videos as negatives (VINCE)."""
    same_video: Literal["negative", "masked", "positive"] = "negative"
    """Role of keys in the queue that come from the query's own video: `negative` like all others
    (as in the papers), `masked` out of the loss, or additional `positive` keys."""
    same_video_seconds: float | None = None
    """Only keys within this many seconds of the query's frame count as keys of the same video. None
    means the whole video."""

    def __post_init__(self) -> None:
        self._at_least(1, "dim", "queue_size")
        self._fraction("queue_from")
        self._require(
            self.queue_from == 0 or self.batch_negatives,
            "queue_from",
            "0 without --method.batch-negatives: there would be no negatives before",
        )
        self._fraction("momentum")
        self._positive("tau")
        self._at_least(1, "bn_splits")
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
        """Whether the keys of the batch are negatives too."""
        return self.batch_negatives

    def check(self, *, data: DataConfig, augment: AugmentConfig, optim: OptimConfig) -> None:
        """Also refuse a queue that is smaller than the number of keys of one step."""
        super().check(data=data, augment=augment, optim=optim)
        key_views = augment.large_views - (0 if self.symmetric else 1)
        keys = data.batch_size * key_views
        if self.queue_size < keys:
            raise ConfigError(
                f"--method.queue-size is {self.queue_size}, and a step has {keys} keys: "
                f"--data.batch-size {data.batch_size} times {key_views} key views. Give "
                f"--method.queue-size {keys}, or --data.batch-size {self.queue_size // key_views}."
            )

    def warning(self, number: int, noun: str = "video") -> str:
        """Return a warning if the queue holds many keys of each video, or an empty string."""
        own = self.queue_size / number
        if number == 1 or self.same_video != "negative" or own <= _MANY_OF_ONE_VIDEO:
            return super().warning(number, noun)
        return (
            f"The queue holds {self.queue_size:,} keys of {counted(number, noun)}, so about "
            f"{_about(own)} of a query's negatives come from its own {noun}. Consider "
            "--method.same-video masked, or a smaller --method.queue-size."
        )


@dataclass(frozen=True, kw_only=True)
class MoCoV3Config(MethodSettings):
    """MoCo v3: a predictor and no queue; both views are queries and keys."""

    HAS_PREDICTOR: ClassVar[bool] = True

    name: Literal["moco_v3"] = "moco_v3"
    """The method."""
    dim: int = 256
    """Dimension of the embedding."""
    hidden_dim: int = 4096
    """Width of the hidden layers of projector and predictor."""
    projector_layers: int = 2
    """Number of layers of the projector: 2 for ResNets, 3 for transformers."""
    predictor_norm: bool = False
    """Put a batch norm after the predictor's last layer, as for transformers."""
    momentum: float = 0.99
    """m of the key encoder: key = m * key + (1 - m) * query."""
    momentum_schedule: Literal["constant", "cosine"] = "cosine"
    """`cosine` raises m to 1 over the training."""
    tau: float = 1.0
    """Temperature of the softmax: 1 for ResNets, 0.2 for transformers."""

    def __post_init__(self) -> None:
        self._at_least(1, "dim", "hidden_dim", "projector_layers")
        self._fraction("momentum")
        self._positive("tau")


@dataclass(frozen=True, kw_only=True)
class FastMoCoConfig(MethodSettings):
    """Fast-MoCo: combined features of patches are contrasted with whole views."""

    HAS_PREDICTOR: ClassVar[bool] = True
    TAKES_MORE_VIEWS: ClassVar[bool] = True

    name: Literal["fast_moco"] = "fast_moco"
    """The method."""
    divide: int = 2
    """A view is cut into this many rows and columns of patches (the paper's m)."""
    combine: int = 2
    """The features of each combination of this many patches are averaged (the paper's n)."""
    dim: int = 2048
    """Dimension of the embedding."""
    hidden_dim: int = 2048
    """Width of the projector's hidden layers."""
    predictor_hidden_dim: int = 512
    """Width of the predictor's hidden layer."""
    momentum: float = 0.99
    """m of the target encoder: target = m * target + (1 - m) * online."""
    momentum_schedule: Literal["constant", "cosine"] = "constant"
    """`constant` is the choice of the released code. `cosine` raises m to 1 over the training."""
    tau: float = 1.0
    """Temperature of the softmax."""

    def __post_init__(self) -> None:
        self._at_least(1, "dim", "hidden_dim", "predictor_hidden_dim")
        self._require(1 <= self.divide <= 8, "divide", "from 1 to 8")
        self._require(
            1 <= self.combine <= self.divide**2,
            "combine",
            f"from 1 to the number of patches ({self.divide**2})",
        )
        self._fraction("momentum")
        self._positive("tau")

    def view_sizes(self, size: int) -> list[int]:
        """Return the sides of views and of their patches, in pixels."""
        return [size, size // self.divide]

    def check(self, *, data: DataConfig, augment: AugmentConfig, optim: OptimConfig) -> None:
        """Also refuse views that do not divide, and frames that two queries cannot share."""
        super().check(data=data, augment=augment, optim=optim)
        most = 2 * self.divide**2
        if augment.large_views > 2 and (data.frames_per_video % 2 or augment.large_views > most):
            raise ConfigError(
                f"--data.frames-per-video is {data.frames_per_video} and --augment.large-views is "
                f"{augment.large_views}. Fast-MoCo needs an even number of frames, half for each "
                f"query, and at most {most} views, one for each patch of both queries."
            )
        if augment.size % self.divide:
            raise ConfigError(
                f"--augment.size is {augment.size}; it must be a multiple of --method.divide "
                f"({self.divide})."
            )


@dataclass(frozen=True, kw_only=True)
class SimCLRConfig(MethodSettings):
    """SimCLR: the other views of the batch are the negatives, with gradients."""

    name: Literal["simclr"] = "simclr"
    """The method."""
    dim: int = 128
    """Dimension of the embedding."""
    projector_layers: int = 2
    """Number of layers of the projector: 2 in SimCLR v1, 3 in v2."""
    tau: float = 0.1
    """Temperature of the softmax."""

    def __post_init__(self) -> None:
        self._at_least(1, "dim", "projector_layers")
        self._positive("tau")


@dataclass(frozen=True, kw_only=True)
class EndToEndConfig(SplitBatchNormSettings):
    """The end-to-end mechanism (MoCo, figure 2a): the batch is the dictionary."""

    name: Literal["end_to_end"] = "end_to_end"
    """The method."""
    dim: int = 128
    """Dimension of the embedding."""
    tau: float = 0.07
    """Temperature of the softmax."""
    bn_splits: BatchNormSplits = 8

    def __post_init__(self) -> None:
        self._at_least(1, "dim", "bn_splits")
        self._positive("tau")


@dataclass(frozen=True, kw_only=True)
class MemoryBankConfig(MethodSettings):
    """The memory bank of InstDisc: one stored embedding per instance."""

    CONTRASTS_VIEWS: ClassVar[bool] = False
    name: Literal["memory_bank"] = "memory_bank"
    """The method."""
    dim: int = 128
    """Dimension of the embedding."""
    loss: Literal["nce", "softmax", "info_nce"] = "nce"
    """The paper's `nce`, its `softmax` over all instances, or MoCo's `info_nce`."""
    instance_seconds: float | None = None
    """Length of an instance in seconds. Instances are centred on multiples of it; with prepared
    frames, 1 / fps makes each frame an instance. None makes each video an instance."""
    num_negatives: int = 4096
    """Number of entries drawn as negatives. `softmax` does not use it."""
    momentum: float = 0.5
    """Weight of the stored entry when its instance is seen again."""
    tau: float = 0.07
    """Temperature of the softmax."""

    def __post_init__(self) -> None:
        self._at_least(1, "dim", "num_negatives")
        self._positive("instance_seconds", unit=" seconds")
        self._fraction("momentum")
        self._positive("tau")

    @property
    def negatives_in_batch(self) -> bool:
        """Always false: the negatives are stored embeddings."""
        return False

    def warning(self, number: int, noun: str = "video") -> str:
        """Return a warning about a single instance, or many draws of each, or an empty string."""
        if self.instance_seconds:
            return ""
        draws = self.num_negatives / number
        if number == 1 or self.loss == "softmax" or draws <= _MANY_OF_ONE_VIDEO:
            return super().warning(number, noun)
        return (
            f"The {self.num_negatives:,} negatives are drawn from {counted(number, noun)}, so each "
            f"comes about {_about(draws)} times, a query's own too. Consider --method.loss "
            "softmax, which takes each other one once, or fewer --method.num-negatives."
        )


def _about(number: float) -> str:
    return f"{number:.2g}" if number < 10 else f"{round(number):,}"


MethodConfig = (
    MoCoConfig | MoCoV3Config | FastMoCoConfig | SimCLRConfig | EndToEndConfig | MemoryBankConfig
)
METHOD_CONFIGS: dict[str, type[MethodConfig]] = {kind.name: kind for kind in get_args(MethodConfig)}
