"""Settings of a detection transfer. The defaults are those of MoCo for Pascal VOC."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from vidmoco.config.base import Settings
from vidmoco.config.fields import Device, Expert, Precision
from vidmoco.errors import ConfigError

# Shares of the training after which MoCo's learning rate falls: 18,000 and 22,000 of 24,000 steps.
_MILESTONES = (18 / 24, 22 / 24)


@dataclass(frozen=True, kw_only=True)
class DetectionCommand(Settings):
    """Fine-tune Faster R-CNN from a backbone, as the MoCo papers do. Writes a run folder.

    The defaults are those of detectron2 and of the configs that MoCo's authors used for Pascal VOC
    (github.com/facebookresearch/moco, detection/configs).
    """

    backbone: str
    """A run folder, a backbone folder, a timm name, `hf-hub:OWNER/NAME`, or `random:` and one of
    these. It must be a ResNet."""
    train: tuple[str, ...]
    """One or more training sets: FILE.json:IMAGES (COCO format) or FOLDER:SPLIT (VOC format)."""
    val: str
    """The validation set, in the same form."""
    run: Path
    """The run folder to write."""
    resume: bool = False
    """Resume the run from its newest checkpoint."""
    detector: Literal["c4", "fpn"] = "c4"
    """`c4`: the last stage of the backbone is the head of each box. `fpn`: a feature pyramid is
    built on all stages."""
    norm: Literal["synced", "local", "frozen"] = "synced"
    """Batch norms. `synced`: statistics over all processes. `local`: statistics of each process.
    `frozen`: the backbone's statistics and parameters do not change."""
    precise_bn: Expert[int] = 200
    """Training batches from which running statistics are measured again before the evaluation.
    They are at most as many as show each image once."""
    iterations: int = 24000
    """Number of training steps."""
    milestones: tuple[int, ...] | None = None
    """Steps after which the learning rate is divided by ten. The default is those of MoCo, 18,000
    and 22,000 of 24,000, in proportion to --iterations."""
    warmup: Expert[int] = 100
    """Steps over which the learning rate grows linearly from a thousandth of its value."""
    batch_size: int = 16
    """Images in one step, counted over all processes."""
    lr: float = 0.02
    """Learning rate. Scale it with --batch-size."""
    momentum: Expert[float] = 0.9
    """Momentum of SGD."""
    weight_decay: Expert[float] = 1e-4
    """Weight decay. Batch norms have none."""
    short_sides: tuple[int, ...] = tuple(range(480, 801, 32))
    """Short sides in pixels. Each training image is resized to one of them at random, and
    validation images to the last one."""
    max_side: Expert[int] = 1333
    """Maximum long side in pixels. An image that would be longer gets a smaller short side."""
    rois_per_image: Expert[int] = 512
    """Boxes per image on which the head trains. Fewer boxes need less memory."""
    proposals: Expert[int] = 1000
    """Proposals per validation image that the head classifies."""
    train_difficult: bool = False
    """Also train on objects marked as difficult, as detectron2 and therefore MoCo's authors do."""
    precision: Precision = "fp32"
    device: Device = "auto"
    seed: int = 0
    """Seed of new layers, of an untrained backbone, of the order of images and of the sampled
    boxes."""
    checkpoint_every: Expert[int] = 1000
    """Steps between checkpoints."""
    log_every: Expert[int] = 100
    """Steps between lines of metrics.jsonl and of the screen."""

    def __post_init__(self) -> None:
        self._require(len(self.train) >= 1, "train", "one or more training sets")
        self._at_least(1, "iterations", "batch_size", "max_side", "rois_per_image")
        self._at_least(1, "proposals", "checkpoint_every", "log_every")
        for name in ("precise_bn", "warmup", "seed"):
            self._require(getattr(self, name) >= 0, name, "0 or more")
        self._positive("lr")
        self._require(0 <= self.momentum < 1, "momentum", "at least 0 and less than 1")
        self._require(self.weight_decay >= 0, "weight_decay", "0 or more")
        given = self.milestones or ()
        self._require(
            all(a < b for a, b in zip((0, *given), given, strict=False)),
            "milestones",
            "steps in ascending order",
        )
        if given and given[-1] >= self.iterations:
            usual = " ".join(map(str, self._usual_milestones()))
            raise ConfigError(
                f"--milestones has step {given[-1]}, and the training ends after --iterations "
                f"{self.iterations}, so the learning rate would not fall there. Give earlier steps"
                + (f", such as --milestones {usual}, or leave it out." if usual else ".")
            )
        self._require(
            len(self.short_sides) >= 1 and min(self.short_sides) >= 1,
            "short_sides",
            "one or more sizes in pixels",
        )

    @property
    def lr_steps(self) -> tuple[int, ...]:
        """Steps after which the learning rate is divided by ten, given or in proportion."""
        return self._usual_milestones() if self.milestones is None else self.milestones

    def _usual_milestones(self) -> tuple[int, ...]:
        steps = (round(share * self.iterations) for share in _MILESTONES)
        return tuple(dict.fromkeys(step for step in steps if 0 < step < self.iterations))

    def plain(self) -> dict[str, Any]:
        """Return the settings as JSON files and checkpoints can hold them."""
        return {
            name: str(value) if isinstance(value, Path) else value
            for name, value in (asdict(self) | {"milestones": self.lr_steps}).items()
        }


_FORMS = "instances.json:IMAGES (COCO's format) or VOC2007:SPLIT (VOC's: JPEGImages, Annotations …)"


def split_source(source: str, *, flag: str) -> tuple[Path, str]:
    """Return the two parts of a set: COCO's file and its images, or VOC's folder and its split.

    Raises:
        ConfigError: it has another form, or a file or folder of it does not exist.
    """
    first, colon, second = source.rpartition(":")
    if not (colon and first and second):
        raise ConfigError(f"{flag} is {source!r}; expected {_FORMS}.")
    path = Path(first)
    if path.is_dir():
        return path, second
    if path.suffix != ".json":
        raise ConfigError(
            f"{flag} is {source!r}, and there is no folder {path}. Expected {_FORMS}."
        )
    if not path.is_file():
        raise ConfigError(f"{flag} names {path}, which does not exist.")
    if not Path(second).is_dir():
        raise ConfigError(f"{flag} names the image folder {second}, which does not exist.")
    return path, second
