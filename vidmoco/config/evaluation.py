"""The settings of the commands that judge and show features; beside ``commands``."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from tyro.conf import Positional, arg

from vidmoco.config.base import Settings
from vidmoco.config.fields import (
    KNN_K,
    KNN_TAU,
    CropMode,
    Device,
    Expert,
    ForVideos,
    InputSize,
    MaxTrainPerClass,
    Precision,
)
from vidmoco.config.limits import Limits
from vidmoco.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class LabelledVideosConfig(Settings):
    """Which frames of labelled videos are judged, and how they are split."""

    SECTION: ClassVar[str] = "videos"

    labels: Path | None = None
    """CSV with a row a video; None: the class is the video's folder (CLASS/x.mp4, or
    train/CLASS/x.mp4 and val/CLASS/y.mp4)."""
    label_column: str = "label"
    """Its column of the class."""
    path_column: str = "path"
    """Its column of the path below the folder of videos."""
    group_column: str | None = None
    """Its column of what must stay together, such as the place and day of a recording: all of a
    group goes to train, or all to val. None: each video is a group of its own."""
    split_column: str | None = None
    """Its column that says train or val; None: whole groups are drawn."""
    where: tuple[str, ...] = ()
    """Its rows to take, as COLUMN=VALUE."""
    val_share: float = 0.3
    """Share of the groups of a class that are drawn for val."""
    frames_per_video: int = 8
    """Frames of a video, in the middles of so many equal parts."""
    frames_per_class: int | Literal["min"] | None = None
    """Most frames of a class in each split; `min`: as many as the rarest class has."""
    min_videos: int = 2
    """A class of fewer videos is left out."""
    min_groups: int = 2
    """A class of fewer groups is left out."""

    def __post_init__(self) -> None:
        self._require(0 < self.val_share < 1, "val_share", "between 0 and 1")
        self._at_least(1, "frames_per_video", "min_videos")
        self._require(
            not isinstance(self.frames_per_class, int) or self.frames_per_class >= 1,
            "frames_per_class",
            "None, min or at least 1",
        )
        self._require(
            self.min_groups >= 2, "min_groups", "at least 2: one for train and one for val"
        )
        self._require(all("=" in condition for condition in self.where), "where", "as COLUMN=VALUE")
        columns = (self.label_column, self.path_column) != ("label", "path")
        if self.labels is None and (
            columns or self.group_column or self.split_column or self.where
        ):
            raise ConfigError(
                "--videos.…-column and --videos.where are about a CSV: give --videos.labels FILE "
                "too."
            )


@dataclass(frozen=True, kw_only=True)
class EvaluateCommand(Settings):
    """Compare frozen backbones on labelled images: weighted k-NN and a linear probe."""

    images: Positional[Path]
    """A folder with train/ and val/ (a folder a class), or train.parquet and val.parquet; or a
    folder of labelled videos (`--videos.…`), of which frames are taken."""
    backbone: tuple[str, ...]
    """Run or backbone folders, timm names, or `random` (an untrained copy of the first)."""
    label_column: str = "label"
    """Column of the class in train.parquet and val.parquet."""
    torchvision: str | None = None
    """The folder is the root of torchvision's dataset of this name, such as CIFAR10."""
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    """Where to write the results (.json); default: results.json in the current folder."""
    k: tuple[int, ...] = KNN_K
    """Numbers of neighbours of the k-NN."""
    tau: tuple[float, ...] = (KNN_TAU, 0.1)
    """Temperatures of the neighbours' weights exp(similarity / tau); the table shows the first."""
    linear: bool = True
    """Fit the linear probe too."""
    few_shot: tuple[float, ...] = ()
    """Also fit the linear probe on these shares of the training images, such as 0.01 and 0.1."""
    few_shot_draws: int = 3
    """Times that each such share is drawn; the mean and the standard deviation are shown."""
    finetune: tuple[Literal["head", "all"], ...] = ()
    """Also train a classifier on random crops by SGD, and measure it on val after every epoch: its
    linear `head` alone, on the frozen backbone (the linear classification of the MoCo papers), or
    `all` layers."""
    finetune_recipe: Literal["moco_v1", "moco_v3_resnet", "moco_v3_vit"] = "moco_v3_resnet"
    """How the head alone is trained: as in the paper of MoCo v1 and v2, whose rate of 30 suits
    their features and hardly any others, or as in that of v3."""
    finetune_epochs: int | None = None
    """Epochs of both; None: the paper's (100 or 90; 60 for all layers)."""
    finetune_lr: float | None = None
    """Learning rate in place of the paper's, before it grows with the batch; for one of the two."""
    finetune_batch_size: int = 256
    """Images in a step, of all processes together."""
    size: InputSize = None
    crop_mode: CropMode = None
    batch_size: int = 256
    """Images in one pass through the backbone."""
    max_train_per_class: MaxTrainPerClass = None
    workers: int | None = None
    """Processes that read images; 0: this process; None: one a core where reading takes long."""
    device: Device = "auto"
    precision: Precision = "fp32"
    videos: LabelledVideosConfig = field(default_factory=LabelledVideosConfig)
    fresh: bool = False
    """Compute all features, also those that are kept from an earlier comparison."""
    seed: int = 0
    """Seed of the untrained backbone and of the probe's split."""

    def __post_init__(self) -> None:
        self._require(len(self.backbone) >= 1, "backbone", "at least one backbone")
        self._require(
            len(self.k) >= 1 and min(self.k) >= 1, "k", "one or more numbers of neighbours"
        )
        for name in ("k", "tau", "few_shot"):
            given = getattr(self, name)
            self._require(len(set(given)) == len(given), name, "each number once")
        self._require(
            len(self.tau) >= 1 and min(self.tau) > 0,
            "tau",
            "one or more numbers greater than 0",
        )
        self._require(
            all(0 < share < 1 for share in self.few_shot), "few_shot", "shares between 0 and 1"
        )
        self._require(
            len(set(self.finetune)) == len(self.finetune), "finetune", "each of head and all once"
        )
        self._require(
            self.finetune_lr is None or self.finetune_lr > 0,
            "finetune_lr",
            "None or greater than 0",
        )
        self._require(
            self.finetune_lr is None or len(self.finetune) == 1,
            "finetune_lr",
            "given with one of --finetune head and --finetune all: their rates differ",
        )
        self._require(
            self.finetune_epochs is None or bool(self.finetune),
            "finetune_epochs",
            "given with --finetune head, all or both",
        )
        self._at_least(1, "batch_size", "max_train_per_class", "finetune_epochs", "few_shot_draws")
        self._at_least(2, "finetune_batch_size")
        self._at_least(8, "size", unit=" pixels")
        self._require(self.workers is None or self.workers >= 0, "workers", "None, 0 or more")
        self._is_seed()
        if self.torchvision is not None and self.videos.labels is not None:
            raise ConfigError(
                "--torchvision names a dataset of images, and --videos.labels one of videos: give "
                "one of the two."
            )


@dataclass(frozen=True, kw_only=True)
class ReportCommand(Settings):
    """Write one HTML page of a run or of a comparison: curves, pairs, tables, pictures."""

    source: Positional[Path]
    """A run folder, or a results file of `vidmoco evaluate` (.json)."""
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    """The page to write (.html); default: report.html in the run folder, or beside the results."""
    results: tuple[Path, ...] = ()
    """Results files to show too; default: the run folder's results.json, if it has one."""
    features: Path | None = None
    """A folder or file that `vidmoco extract` wrote, for a map of frames and nearest neighbours."""
    pairs: int = 6
    """Sampled pairs to show, at most 64; 0: none, and no video is read."""

    def __post_init__(self) -> None:
        self._require(0 <= self.pairs <= 64, "pairs", "from 0 to 64")


@dataclass(frozen=True, kw_only=True)
class SearchCommand(Settings):
    """Find the frames most like a picture among features that extract wrote."""

    features: Positional[Path]
    """A feature file of `vidmoco extract`, or a folder of them."""
    query: str
    """An image, or a video and a time in seconds: clip.mp4@12.5."""
    output: Annotated[Path, arg(aliases=["-o"])] = Path("search.png")
    """The contact sheet to write (.png)."""
    top: int = 12
    """Frames to show, at most 200."""
    per_video: int | None = None
    """Frames of one video at most; None: so many that --top frames are found."""
    min_gap: float = 2.0
    """Least distance in seconds of two frames of one video."""
    backbone: str | None = None
    """Where the backbone that made the features is now; None: where it was."""
    device: Device = "auto"
    limits: Expert[ForVideos] = field(default_factory=Limits)

    def __post_init__(self) -> None:
        self._require(1 <= self.top <= 200, "top", "from 1 to 200")
        self._at_least(1, "per_video")
        self._require(0 <= self.min_gap < float("inf"), "min_gap", "0 seconds or more")


@dataclass(frozen=True, kw_only=True)
class ExploreCommand(Settings):
    """Draw the features that extract wrote, and list candidates of new shots and of duplicates."""

    features: Positional[Path]
    """A feature file of `vidmoco extract`, or a folder of them."""
    output: Annotated[Path, arg(aliases=["-o"])] = Path("explore")
    """The folder to write pictures and tables to."""
    layout: Literal["tsne", "pca"] = "tsne"
    """Of the map: t-SNE (extra: vidmoco[eval]), or the first two principal components."""
    map_frames: int = 2000
    """Frames on the map at most; of more, so many are taken evenly."""
    max_videos: int = 12
    """Files in the pictures over time, at most 100, evenly taken."""
    duplicate_similarity: float = 0.95
    """Least cosine of frames that look the same."""
    duplicate_gap: float = 5.0
    """Least distance in seconds of two frames of one video that count as duplicates."""
    seed: int = 0
    """Seed of t-SNE."""
    limits: Expert[ForVideos] = field(default_factory=Limits)

    def __post_init__(self) -> None:
        self._require(2 <= self.map_frames <= 50_000, "map_frames", "from 2 to 50,000")
        self._require(1 <= self.max_videos <= 100, "max_videos", "from 1 to 100")
        self._require(
            0 < self.duplicate_similarity <= 1, "duplicate_similarity", "above 0, and 1 at most"
        )
        self._require(0 <= self.duplicate_gap < float("inf"), "duplicate_gap", "0 seconds or more")
        self._require(0 <= self.seed < 2**32, "seed", "from 0 to 4,294,967,295")
