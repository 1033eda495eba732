"""The settings of the monitor: what is measured of the features while a training goes on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from tyro.conf import arg

from vidmoco.config.base import Settings
from vidmoco.config.fields import KNN_TAU, Expert, MaxTrainPerClass, Precision

MOST_VIDEOS = 4096  # assumption: more queries than that say nothing more


@dataclass(frozen=True, kw_only=True)
class MonitorConfig(Settings):
    """What is measured of the features as they are learnt; it changes nothing of the training."""

    SECTION: ClassVar[str] = "monitor"

    images: Annotated[Path | None, arg(aliases=["--monitor"])] = None
    """Labelled images, in folders of classes or Parquet: their k-NN accuracy is measured, the same
    number that `evaluate` gives for the saved backbone; None: not measured."""
    retrieval: bool = False
    """Without labels: how often the nearest of many frames is the one of the same video, some time
    later. Its frames are read at the start, as those of the training are."""
    output: Literal["backbone", "projector"] = "backbone"
    """Whose outputs are the features: the backbone's, as of `evaluate`, or those of the head on it,
    which the method compares; the numbers of MoCo's CIFAR demo are of its head."""
    every_epochs: float | None = None
    """Epochs between two measurements; None: a tenth of the training. The untrained backbone and
    the last one are always measured."""
    k: int = 20
    """Neighbours of the k-NN."""
    tau: float = KNN_TAU
    """Temperature of the neighbours' weights exp(similarity / tau)."""
    max_train_per_class: MaxTrainPerClass = None
    distances: Expert[tuple[float, ...]] = (0.5, 2.0, 8.0)
    """Seconds from the frame that is looked for to the one that is to be found. Those which fewer
    than two videos are long enough for are left out."""
    videos: Expert[int] = 256
    """Videos of the retrieval, at each distance; fewer where there are no more."""
    seed: Expert[int] = 0
    """Seed of the training images of a class, as in `evaluate`, and of the videos and times."""
    precision: Expert[Precision] = "fp32"
    batch_size: Expert[int] = 256
    """Images in one pass through the backbone, as in `evaluate`."""
    max_gib: Expert[float] = 4.0
    """GiB of memory that the images may take; they are read once, at the start."""

    def __post_init__(self) -> None:
        self._require(
            self.every_epochs is None or self.every_epochs > 0,
            "every_epochs",
            "None or greater than 0",
        )
        self._at_least(1, "k", "max_train_per_class", "batch_size")
        self._require(self.tau > 0, "tau", "greater than 0")
        self._require(
            len(self.distances) >= 1
            and min(self.distances) > 0
            and len(set(self.distances)) == len(self.distances),
            "distances",
            "one or more different times greater than 0, in seconds",
        )
        self._require(2 <= self.videos <= MOST_VIDEOS, "videos", f"from 2 to {MOST_VIDEOS}")
        self._is_seed()
        self._require(self.max_gib > 0, "max_gib", "greater than 0 GiB")
