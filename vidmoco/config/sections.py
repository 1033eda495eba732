"""The sections of a training's settings: their defaults, help texts and ranges, once.

A recipe (``recipe.py``) or a flag replaces a default; nothing else does. The docstring under a
field is its help text on the command line. A constructor raises ``ConfigError``, naming the flag,
for a value out of range.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from vidmoco.config.base import Ranged


@dataclass(frozen=True, kw_only=True)
class DataConfig(Ranged):
    """Which frames make a pair, and how they come to the device."""

    SECTION: ClassVar[str] = "data"

    batch_size: int = 256
    """Pairs in one step, of all processes together, each from another video."""
    short_side: int = 256
    """Frames are resized to this short side (pixels) when they are decoded, before any crop."""
    gap_law: Literal["linear_decay", "uniform", "segments"] = "linear_decay"
    """How far apart the frames of a pair are. `linear_decay`: any two of the video, so that short
    gaps are likelier; `uniform`: every gap equally likely; `segments`: one of each half."""
    min_gap: float = 0.0
    """Least time between the two frames of a pair, or the first and the last of more, in seconds (a
    shorter video gives its longest gap)."""
    max_gap: float | None = None
    """Greatest time between them, in seconds; None: the whole video."""
    same_frame_probability: float = 0.0
    """Share of pairs that are two views of one frame."""
    single_frame: bool = False
    """The control: every pair is two views of one frame, as in the image papers."""
    frames_per_video: int = 2
    """Frames that are taken of a video at a time. More than 2 are further positives (MoCo), the
    patches of one view (Fast-MoCo) or small crops; see --augment.large-views."""
    pairs_per_visit: int = 4
    """Pairs that are taken from a video each time it is opened, for as many batches. More of them
    cost less decoding; the pairs of a video then come closer together in the order."""
    block_gib: float = 2.0
    """GiB of memory for the pairs that visits take ahead of their batches. More mixes better."""
    decoder: Literal["auto", "decord", "pyav"] = "auto"
    """`auto`: the fastest for each video, PyAV for H.264 and decord for VP8, VP9 and AV1; `decord`:
    decord wherever it is right; `pyav`: PyAV alone, for videos that you do not trust. All give the
    same frames."""
    workers: int | None = None
    """Processes that decode; 0: the training process itself, unprotected from what videos may do;
    None: one a core, at most 16, shared by the trainings of a machine."""

    def __post_init__(self) -> None:
        self._require(self.batch_size >= 2, "batch_size", "at least 2")
        self._require(self.short_side >= 8, "short_side", "at least 8 pixels")
        self._require(2 <= self.frames_per_video <= 16, "frames_per_video", "from 2 to 16")
        self._require(
            self.frames_per_video == 2
            or self.gap_law != "segments"
            or (self.min_gap == 0 and self.max_gap is None),
            "frames_per_video",
            "2 where segments have a --data.min-gap or --data.max-gap",
        )
        self._require(self.min_gap >= 0, "min_gap", "0 or more seconds")
        self._require(
            self.max_gap is None or self.max_gap >= self.min_gap,
            "max_gap",
            f"None or at least --data.min-gap ({self.min_gap} s)",
        )
        self._require(
            0 <= self.same_frame_probability <= 1, "same_frame_probability", "from 0 to 1"
        )
        self._require(1 <= self.pairs_per_visit <= 64, "pairs_per_visit", "from 1 to 64")
        self._require(self.block_gib > 0, "block_gib", "greater than 0 GiB")
        self._require(self.workers is None or self.workers >= 0, "workers", "None, 0 or more")


@dataclass(frozen=True, kw_only=True)
class AugmentConfig(Ranged):
    """The random views (defaults: MoCo v2's)."""

    SECTION: ClassVar[str] = "augment"

    size: int = 224
    """Side of the square views, in pixels."""
    crop_scale: tuple[float, float] = (0.2, 1.0)
    """Least and greatest share of the frame's area that a crop takes."""
    flip_probability: float = 0.5
    """Probability of a horizontal flip."""
    brightness: float = 0.4
    """Colour jitter: brightness factor from 1 - x to 1 + x."""
    contrast: float = 0.4
    """Colour jitter: contrast factor from 1 - x to 1 + x."""
    saturation: float = 0.4
    """Colour jitter: saturation factor from 1 - x to 1 + x."""
    hue: float = 0.1
    """Colour jitter: hue shift from -x to x turns of the colour circle (at most 0.5)."""
    jitter_probability: float = 0.8
    """Probability of the colour jitter (v1: 1)."""
    grayscale_probability: float = 0.2
    """Probability of a grey view."""
    grayscale_first: bool = False
    """Grey before the colour jitter, as in v1; v2 has it after."""
    blur_probability: float = 0.5
    """Probability of a Gaussian blur (v1: 0)."""
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    """Least and greatest standard deviation of the blur, in pixels of the view."""
    solarize_probability: float = 0.0
    """Probability that all above half brightness is inverted, after the blur."""
    second_blur_probability: float | None = None
    """Probability of a blur in the second view (v3: 0.1, and 1 in the first); None: as in the first
    view."""
    second_solarize_probability: float | None = None
    """Probability of solarizing the second view (v3: 0.2, and 0 in the first); None: as in the
    first view."""
    shared: tuple[Literal["crop", "flip"], ...] = ()
    """What the views of a video have in common: `crop` (the same box), `flip`, or both."""
    large_views: int = 2
    """Views of the full size, each of the next frame: the first, the second, and from the first
    again. More than 2 are for MoCo, as further positives of a video, and for Fast-MoCo, whose
    patches then come from several of them; as the second view is, so are they."""
    small_crops: int = 0
    """Additional small views, of the frames that come next, as in SwAV's multi-crop (there 6); all
    but size and crop as in the first view. MoCo uses the large views alone."""
    small_size: int = 96
    """Side of the small views, in pixels."""
    small_crop_scale: tuple[float, float] = (0.05, 0.14)
    """Least and greatest share of the frame's area that a small crop takes (SwAV's large crops:
    0.14 to 1)."""

    def __post_init__(self) -> None:
        for name in ("size", "small_size"):
            self._require(getattr(self, name) >= 8, name, "at least 8 pixels")
        for name in ("crop_scale", "small_crop_scale"):
            low, high = getattr(self, name)
            self._require(0 < low <= high <= 1, name, "two shares, 0 < least <= greatest <= 1")
        for name in ("flip", "jitter", "grayscale", "blur", "solarize"):
            probability = getattr(self, f"{name}_probability")
            self._require(0 <= probability <= 1, f"{name}_probability", "from 0 to 1")
        for name in ("second_blur_probability", "second_solarize_probability"):
            probability = getattr(self, name)
            self._require(probability is None or 0 <= probability <= 1, name, "None or from 0 to 1")
        self._require(
            len(set(self.shared)) == len(self.shared), "shared", "crop, flip, or each of them once"
        )
        self._require(2 <= self.large_views <= 16, "large_views", "from 2 to 16")
        self._require(0 <= self.small_crops <= 16, "small_crops", "from 0 to 16")
        for name in ("brightness", "contrast", "saturation"):
            self._require(0 <= getattr(self, name) <= 1, name, "from 0 to 1")
        self._require(0 <= self.hue <= 0.5, "hue", "from 0 to 0.5")
        low, high = self.blur_sigma
        self._require(0 < low <= high, "blur_sigma", "two numbers of pixels, 0 < least <= greatest")


@dataclass(frozen=True, kw_only=True)
class BackboneConfig(Ranged):
    """The timm model that is trained."""

    SECTION: ClassVar[str] = "backbone"

    name: str = "resnet50"
    """A timm model name (`timm.list_models()` shows them)."""
    pretrained: bool = False
    """Start from timm's pretrained weights (a download) instead of random ones."""
    zero_init_residual: bool = False
    """Start each residual branch of a ResNet at zero (MoCo v3, Fast-MoCo; v1 and v2 do not)."""
    freeze_patches: bool = False
    """Leave the patch embedding of a transformer as it is at the start (MoCo v3)."""


@dataclass(frozen=True, kw_only=True)
class OptimConfig(Ranged):
    """The optimiser and its schedule."""

    SECTION: ClassVar[str] = "optim"

    name: Literal["sgd", "lars", "adamw"] = "sgd"
    """`sgd` (MoCo v1, v2, Fast-MoCo), `lars` (MoCo v3 on ResNets, SimCLR) or `adamw` (MoCo v3 on
    transformers)."""
    lr: float = 0.03
    """Learning rate, of a batch of 256 pairs where --optim.scale-lr is linear."""
    scale_lr: Literal["linear", "sqrt", "none"] = "linear"
    """The rate used is lr * batch_size / 256, lr * sqrt(batch_size) (SimCLR for small batches) or
    lr."""
    momentum: float = 0.9
    """Momentum of SGD and LARS."""
    weight_decay: float = 1e-4
    """Weight decay; of AdamW the decoupled one."""
    decay_vectors: bool = True
    """Weight decay on biases and norms too (MoCo v1, v2, v3 with AdamW, Fast-MoCo). LARS: whether
    these have decay and trust ratio (MoCo v3 and SimCLR: no)."""
    trust_coefficient: float = 0.001
    """LARS's factor of |weight| / |gradient|."""
    predictor_lr: float | None = None
    """A constant learning rate of the predictor (Fast-MoCo: 0.1); None: as all else."""
    clip_gradient: float | None = None
    """Greatest norm of the whole gradient (Fast-MoCo: 1); None: no limit."""
    schedule: Literal["cosine", "step"] = "cosine"
    """Cosine to zero, from the end of the warm-up (v2, v3), or a tenth at each milestone (v1)."""
    milestones: tuple[float, ...] = (0.6, 0.8)
    """Shares of the training at which the step schedule divides by ten (120 and 160 of 200
    epochs)."""
    warmup_epochs: float = 0.0
    """Epochs over which the learning rate grows linearly."""
    warmup_start: float = 0.0
    """Share of the learning rate that the warm-up begins with (Fast-MoCo: 0.25)."""
    update_every: Literal["epoch", "step"] = "epoch"
    """How often the schedule changes the learning rate; the papers: every epoch."""
    accumulate: int = 1
    """Micro-batches that a step is cut into, to fit a batch into less memory."""

    def __post_init__(self) -> None:
        self._require(self.lr > 0, "lr", "greater than 0")
        self._require(self.trust_coefficient > 0, "trust_coefficient", "greater than 0")
        for name in ("predictor_lr", "clip_gradient"):
            value = getattr(self, name)
            self._require(value is None or value > 0, name, "None or greater than 0")
        self._require(0 <= self.warmup_start <= 1, "warmup_start", "from 0 to 1")
        self._require(0 <= self.momentum < 1, "momentum", "from 0 to below 1")
        self._require(self.weight_decay >= 0, "weight_decay", "0 or more")
        self._require(
            all(0 < m < 1 for m in self.milestones)
            and list(self.milestones) == sorted(self.milestones),
            "milestones",
            "growing shares of the training between 0 and 1",
        )
        self._require(self.warmup_epochs >= 0, "warmup_epochs", "0 or more epochs")
        self._require(self.accumulate >= 1, "accumulate", "at least 1")


@dataclass(frozen=True, kw_only=True)
class EngineConfig(Ranged):
    """How the training runs; not what it computes."""

    SECTION: ClassVar[str] = "engine"

    device: str = "auto"
    """`auto` (CUDA where there is one), `cpu`, `cuda` or `cuda:1`."""
    precision: Literal["bf16", "fp32"] = "bf16"
    """bf16: autocast, weights stay float32."""
    channels_last: bool = True
    """Memory format of images and convolutions."""
    threads: int | None = None
    """Threads of the training on a CPU; None: all cores, or half where the others decode videos."""
    compile: bool = False
    """Compile both encoders with torch.compile (a minute at the start, faster afterwards)."""
    cuda_graphs: bool = False
    """With --engine.compile: CUDA replays an encoder's kernels as one graph, which helps small
    models and batches."""
    log_every: int = 10
    """Steps between two lines of metrics.jsonl."""
    checkpoint_minutes: float = 10.0
    """Minutes between two checkpoints; one is always written at the end and on an interrupt."""
    keep_checkpoints: int = 2
    """Newest checkpoints to keep."""

    def __post_init__(self) -> None:
        self._require(self.threads is None or self.threads >= 1, "threads", "None or at least 1")
        self._require(
            self.compile or not self.cuda_graphs, "cuda_graphs", "False without --engine.compile"
        )
        self._require(self.log_every >= 1, "log_every", "at least 1")
        self._require(self.checkpoint_minutes >= 0, "checkpoint_minutes", "0 or more minutes")
        self._require(self.keep_checkpoints >= 1, "keep_checkpoints", "at least 1")
