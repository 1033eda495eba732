"""The settings of each method, and what they may be; a part of ``config``."""

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from vidmoco.config.base import Ranged


@dataclass(frozen=True, kw_only=True)
class MoCoConfig(Ranged):
    """Momentum Contrast: v1 with a linear head and tau 0.07, v2 with an MLP head and tau 0.2."""

    SECTION: ClassVar[str] = "method"

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
    bn_splits: int = 8
    """Batch-norm statistics are taken over this many parts of the batch, as if on so many GPUs, and
    keys are shuffled among them (Shuffling BN). 1: over the whole batch. Of several processes each
    is a part at least, whatever is given."""
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


@dataclass(frozen=True, kw_only=True)
class MoCoV3Config(Ranged):
    """MoCo v3: no queue, a predictor, both views as queries and keys."""

    SECTION: ClassVar[str] = "method"

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
class FastMoCoConfig(Ranged):
    """Fast-MoCo: patches of a view, combined after the backbone, against whole views."""

    SECTION: ClassVar[str] = "method"

    name: Literal["fast_moco"] = "fast_moco"
    """The method."""
    divide: int = 2
    """m: a view is cut into m x m patches."""
    combine: int = 2
    """n: every n of the patches are combined."""
    merge: Literal["mean", "weighted_mean", "max"] = "mean"
    """How features of patches are combined; `weighted_mean`: by random weights of sum 1."""
    targets: Literal["other", "same", "both"] = "other"
    """Whether combinations are contrasted with the other view, with their own whole view, or with
    both."""
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


@dataclass(frozen=True, kw_only=True)
class SimCLRConfig(Ranged):
    """SimCLR: the other views of the batch are the negatives, and all have gradients."""

    SECTION: ClassVar[str] = "method"

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
class EndToEndConfig(Ranged):
    """The end-to-end mechanism of MoCo's figure 2a: the batch is the dictionary."""

    SECTION: ClassVar[str] = "method"

    name: Literal["end_to_end"] = "end_to_end"
    """The method."""
    dim: int = 128
    """Dimension of the embedding."""
    tau: float = 0.07
    """Temperature of the softmax."""
    bn_splits: int = 8
    """Batch-norm statistics are taken over this many parts of the batch, as if on so many GPUs, and
    keys are shuffled among them (Shuffling BN). 1: over the whole batch. Of several processes each
    is a part at least, whatever is given."""

    def __post_init__(self) -> None:
        self._require(self.dim >= 1, "dim", "at least 1")
        self._require(self.bn_splits >= 1, "bn_splits", "at least 1")
        self._require(self.tau > 0, "tau", "greater than 0")


@dataclass(frozen=True, kw_only=True)
class MemoryBankConfig(Ranged):
    """The memory bank of InstDisc: one kept embedding an instance."""

    SECTION: ClassVar[str] = "method"

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


MethodConfig = (
    MoCoConfig | MoCoV3Config | FastMoCoConfig | SimCLRConfig | EndToEndConfig | MemoryBankConfig
)
METHOD_CONFIGS: dict[str, type[MethodConfig]] = {kind.name: kind for kind in get_args(MethodConfig)}
