"""The settings of a detection transfer; defaults are those of MoCo for Pascal VOC."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from vidmoco.config.base import Settings
from vidmoco.config.fields import Device, Expert, Precision


@dataclass(frozen=True, kw_only=True)
class DetectionCommand(Settings):
    """Fine-tune Faster R-CNN from a backbone, as the MoCo papers judge theirs. Writes a run folder.

    Defaults without another source are those of the configs and of detectron2 that MoCo's authors
    used for Pascal VOC (github.com/facebookresearch/moco, detection/configs).
    """

    backbone: str
    """A run or backbone folder, a timm name, or `random:NAME` (untrained): a ResNet."""
    train: tuple[str, ...]
    """What to train on: FILE.json:IMAGES (COCO's format) or FOLDER:SPLIT (VOC's), one or more."""
    val: str
    """What to evaluate on: one such."""
    run: Path
    """The run folder to write."""
    resume: bool = False
    """Go on with the run from its newest checkpoint."""
    detector: Literal["c4", "fpn"] = "c4"
    """`c4`: the last stage is the head of each box; `fpn`: a feature pyramid of all stages."""
    norm: Literal["synced", "local", "frozen"] = "synced"
    """Batch norms: trained over the boxes or images of all processes, trained in each process
    alone, or kept as the backbone has them."""
    precise_bn: Expert[int] = 200
    """Training batches over which running statistics are measured anew before the evaluation."""
    iterations: int = 24000
    """Steps of training."""
    milestones: tuple[int, ...] = (18000, 22000)
    """Steps after which the learning rate is a tenth."""
    warmup: Expert[int] = 100
    """Steps in which the learning rate rises, from a thousandth."""
    batch_size: int = 16
    """Images of a step, of all processes together."""
    lr: float = 0.02
    """Learning rate; change it in proportion with --batch-size."""
    momentum: Expert[float] = 0.9
    """Momentum of SGD."""
    weight_decay: Expert[float] = 1e-4
    """Weight decay, of all but batch norms."""
    short_sides: tuple[int, ...] = tuple(range(480, 801, 32))
    """Short sides in pixels, one of which each training image gets by chance; validation images
    get the last one."""
    max_side: Expert[int] = 1333
    """Longest side in pixels; an image that would be longer gets a smaller short side."""
    rois_per_image: Expert[int] = 512
    """Boxes of an image on which the head trains; fewer need less memory."""
    proposals: Expert[int] = 1000
    """Boxes of a validation image that the head looks at."""
    train_difficult: bool = False
    """Also train on objects marked as difficult, as detectron2 and so MoCo's authors do."""
    precision: Precision = "fp32"
    device: Device = "auto"
    seed: int = 0
    """Of new layers, an untrained backbone, the order of images and what is drawn from them."""
    checkpoint_every: Expert[int] = 1000
    """Steps between checkpoints."""
    log_every: Expert[int] = 100
    """Steps between lines of metrics.jsonl and of the screen."""

    def __post_init__(self) -> None:
        self._require(len(self.train) >= 1, "train", "one or more parts")
        for name in ("iterations", "batch_size", "max_side", "rois_per_image"):
            self._require(getattr(self, name) >= 1, name, "at least 1")
        for name in ("proposals", "checkpoint_every", "log_every"):
            self._require(getattr(self, name) >= 1, name, "at least 1")
        for name in ("precise_bn", "warmup", "seed"):
            self._require(getattr(self, name) >= 0, name, "0 or more")
        self._require(self.lr > 0, "lr", "greater than 0")
        self._require(0 <= self.momentum < 1, "momentum", "at least 0 and less than 1")
        self._require(self.weight_decay >= 0, "weight_decay", "0 or more")
        self._require(
            all(a < b for a, b in zip((0, *self.milestones), self.milestones, strict=False)),
            "milestones",
            "steps in ascending order",
        )
        self._require(
            len(self.short_sides) >= 1 and min(self.short_sides) >= 1,
            "short_sides",
            "one or more sizes in pixels",
        )

    def plain(self) -> dict[str, Any]:
        """Return the settings as JSON files and checkpoints can hold them."""
        return {
            name: str(value) if isinstance(value, Path) else value
            for name, value in asdict(self).items()
        }
