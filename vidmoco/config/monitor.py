"""Settings of the monitor, which measures the features during training."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from tyro.conf import arg

from vidmoco.config.base import Settings
from vidmoco.config.fields import KNN_TAU, Expert, MaxTrainPerClass, Precision

MOST_VIDEOS = 4096  # assumption: more queries do not change the result


@dataclass(frozen=True, kw_only=True)
class MonitorConfig(Settings):
    """What is measured of the features during training. It does not change the training."""

    SECTION: ClassVar[str] = "monitor"

    images: Annotated[Path | None, arg(aliases=["--monitor"])] = None
    """A folder of labelled images with train/ and val/ (one folder per class), or with
    train.parquet and val.parquet, or as `evaluate` takes them otherwise. The monitor measures
    their k-NN accuracy, the same number that `evaluate` gives for the saved backbone."""
    retrieval: bool = False
    """Measure retrieval, which needs no labels: how often the frame nearest to a query, among many
    frames, is a later frame of the query's video. The frames are decoded once, at the start."""
    output: Literal["backbone", "projector"] = "backbone"
    """Where the features come from. `backbone`: its output, as in `evaluate`. `projector`: the
    head's output, which the method contrasts and which MoCo's CIFAR demo measures."""
    every_epochs: float | None = None
    """Epochs between two measurements. The default is a tenth of the training. The first and the
    last weights are always measured."""
    k: int = 20
    """Number of neighbours of the k-NN."""
    tau: float = KNN_TAU
    """Temperature of the neighbours' weights exp(similarity / tau)."""
    max_train_per_class: MaxTrainPerClass = None
    distances: Expert[tuple[float, ...]] = (0.5, 2.0, 8.0)
    """Times between the query frame and the frame to find, in seconds. A distance is left out if
    fewer than two videos are long enough."""
    videos: Expert[int] = 256
    """Maximum number of videos for the retrieval at each distance."""
    seed: Expert[int] = 0
    """Seed of the choice of training images per class, as in `evaluate`, and of videos and
    times."""
    precision: Expert[Precision] = "fp32"
    batch_size: Expert[int] = 256
    """Images per forward pass, as in `evaluate`."""
    max_gib: Expert[float] = 4.0
    """Maximum memory of the images in GiB. They are read once, at the start."""

    def __post_init__(self) -> None:
        self._positive("every_epochs")
        self._at_least(1, "k", "max_train_per_class", "batch_size")
        self._positive("tau")
        self._require(
            len(self.distances) >= 1
            and min(self.distances) > 0
            and len(set(self.distances)) == len(self.distances),
            "distances",
            "one or more different times greater than 0, in seconds",
        )
        self._require(2 <= self.videos <= MOST_VIDEOS, "videos", f"from 2 to {MOST_VIDEOS}")
        self._is_seed()
        self._positive("max_gib", unit=" GiB")
