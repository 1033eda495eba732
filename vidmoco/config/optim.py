"""Settings of the optimiser and its schedule."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from vidmoco.config.base import Settings
from vidmoco.config.fields import Expert


@dataclass(frozen=True, kw_only=True)
class OptimConfig(Settings):
    """The optimiser and its schedule."""

    SECTION: ClassVar[str] = "optim"

    name: Literal["sgd", "lars", "adamw"] = "sgd"
    """`sgd` (MoCo v1, v2, Fast-MoCo), `lars` (MoCo v3 on ResNets, SimCLR) or `adamw` (MoCo v3 on
    transformers)."""
    lr: float = 0.03
    """Learning rate, before --optim.scale-lr."""
    scale_lr: Literal["linear", "sqrt", "none"] = "linear"
    """Scaling of the learning rate with the batch size. `linear`: lr * batch_size / 256. `sqrt`: lr
    * sqrt(batch_size), as SimCLR uses for small batches. `none`: lr."""
    momentum: float = 0.9
    """Momentum of SGD and LARS."""
    weight_decay: float = 1e-4
    """Weight decay. That of AdamW is decoupled."""
    decay_vectors: Expert[bool] = True
    """Apply weight decay to biases and norms too (yes in MoCo v1, v2, v3 with AdamW and Fast-MoCo).
    For LARS this also decides about the trust ratio (no in MoCo v3 and SimCLR)."""
    trust_coefficient: Expert[float] = 0.001
    """LARS's factor of |weight| / |gradient|."""
    predictor_lr: Expert[float | None] = None
    """A constant learning rate of the predictor (0.1 in Fast-MoCo). None means that of the other
    layers."""
    clip_gradient: Expert[float | None] = None
    """Maximum norm of the whole gradient (1 in Fast-MoCo). None means no clipping."""
    layer_decay: Expert[float | None] = None
    """Factor of the learning rate from each layer of the backbone to the one before it, such as
    0.65 or 0.75 for a training that starts from weights. None means one rate for all layers. For
    `sgd` and `adamw`."""
    schedule: Literal["cosine", "step"] = "cosine"
    """Schedule of the learning rate. `cosine`: to zero, from the end of the warm-up (v2, v3).
    `step`: divided by ten at each milestone (v1)."""
    milestones: Expert[tuple[float, ...]] = (0.6, 0.8)
    """Fractions of the training at which the step schedule divides by ten (epochs 120 and 160 of
    200)."""
    warmup_epochs: float = 0.0
    """Epochs over which the learning rate grows linearly."""
    warmup_start: Expert[float] = 0.0
    """Fraction of the learning rate at the start of the warm-up (0.25 in Fast-MoCo)."""
    update_every: Expert[Literal["epoch", "step"]] = "epoch"
    """How often the schedule changes the learning rate. The papers change it every epoch."""
    accumulate: int = 1
    """Number of micro-batches per step, to fit a batch into less memory. It is for methods whose
    negatives are not in the batch: MoCo without --method.batch-negatives, and the memory bank."""

    def __post_init__(self) -> None:
        self._positive("lr", "trust_coefficient", "predictor_lr", "clip_gradient")
        self._require(
            self.layer_decay is None or (0 < self.layer_decay <= 1 and self.name != "lars"),
            "layer_decay",
            "None, or greater than 0 and at most 1 with --optim.name sgd or adamw",
        )
        self._fraction("warmup_start")
        self._require(0 <= self.momentum < 1, "momentum", "from 0 to below 1")
        self._require(self.weight_decay >= 0, "weight_decay", "0 or more")
        self._require(
            all(0 < m < 1 for m in self.milestones)
            and list(self.milestones) == sorted(self.milestones),
            "milestones",
            "increasing fractions of the training between 0 and 1",
        )
        self._require(self.warmup_epochs >= 0, "warmup_epochs", "0 or more epochs")
        self._at_least(1, "accumulate")
