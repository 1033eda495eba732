"""Settings of the commands that evaluate and show features."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from tyro.conf import Positional, arg

from vidmoco.config.base import Settings
from vidmoco.config.fields import (
    KNN_K,
    KNN_TAU,
    VAL_SHARE,
    CropMode,
    Device,
    Expert,
    ForVideos,
    InputSize,
    MaxTrainPerClass,
    Precision,
    ValShare,
)
from vidmoco.config.limits import Limits
from vidmoco.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class LabelledVideosConfig(Settings):
    """Which frames of labelled videos are used, and how they are split."""

    SECTION: ClassVar[str] = "videos"

    labels: Path | None = None
    """A CSV file with one row per video. Without it, the class is the video's folder: CLASS/x.mp4,
    or train/CLASS/x.mp4 and val/CLASS/y.mp4."""
    label_column: str = "label"
    """The CSV column of the class."""
    path_column: str = "path"
    """The CSV column of the video's path, relative to the folder of videos."""
    group_column: str | None = None
    """The CSV column of the group, such as the place and day of a recording. All videos of a group
    go to train, or all to val. By default each video is its own group."""
    split_column: str | None = None
    """The CSV column that says `train` or `val`. By default whole groups are drawn for val; see
    `--val-share`."""
    where: tuple[str, ...] = ()
    """Use only the CSV rows that meet these conditions, given as COLUMN=VALUE."""
    frames_per_video: int = 8
    """Frames taken from a video: it is cut into this many equal parts, and each part gives the
    frame in its middle."""
    frames_per_class: int | Literal["min"] | None = None
    """Maximum number of frames per class in each split. `min`: the number of the rarest class."""
    min_videos: int = 2
    """Leave out classes with fewer videos."""
    min_groups: int = 2
    """Leave out classes with fewer groups."""

    def __post_init__(self) -> None:
        self._at_least(1, "frames_per_video", "min_videos")
        self._require(
            not isinstance(self.frames_per_class, int) or self.frames_per_class >= 1,
            "frames_per_class",
            "None, min or at least 1",
        )
        self._require(
            self.min_groups >= 2, "min_groups", "at least 2: one for train and one for val"
        )
        self._require(
            all("=" in condition for condition in self.where), "where", "COLUMN=VALUE, each"
        )
        columns = (self.label_column, self.path_column) != ("label", "path")
        if self.labels is None and (
            columns or self.group_column or self.split_column or self.where
        ):
            raise ConfigError(
                "--videos.…-column and --videos.where refer to a CSV file: give --videos.labels "
                "FILE too."
            )


@dataclass(frozen=True, kw_only=True)
class EvaluateCommand(Settings):
    """Compare frozen backbones on labelled images: weighted k-NN and a linear probe."""

    images: Positional[Path]
    """A folder with train/ and val/ (one folder per class), or with train.parquet and val.parquet,
    or train.csv and val.csv (path, label); or with one folder per class, or a Parquet file or list,
    from which val is drawn; or a folder of labelled videos (see `--videos.…`), whose frames are the
    images."""
    backbone: tuple[str, ...]
    """Run folders, backbone folders, timm names, `hf-hub:OWNER/NAME`, `random:` and one of these,
    or `random` (the first backbone with random weights)."""
    label_column: str = "label"
    """The column of the class in Parquet files and lists of images."""
    torchvision: str | None = None
    """Name of a torchvision dataset, such as CIFAR10, whose root is the folder."""
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    """Where to write the results (.json). The default is results.json in the current folder."""
    k: tuple[int, ...] = KNN_K
    """Numbers of neighbours of the k-NN."""
    tau: tuple[float, ...] = (KNN_TAU, 0.1)
    """Temperatures of the neighbours' weights exp(similarity / tau). The table shows the first."""
    linear: bool = True
    """Fit the linear probe too."""
    few_shot: tuple[float, ...] = ()
    """Also fit the linear probe on these fractions of the training images, such as 0.01 and 0.1. A
    share has at least one image of each class; of videos, at least one video."""
    few_shot_draws: int = 3
    """Number of random draws of each fraction. The table shows mean and standard deviation."""
    finetune: tuple[Literal["head", "all"], ...] = ()
    """Also train a classifier with SGD on random crops, and measure it on val after every epoch.
    `head`: only a linear layer on the frozen backbone (the linear classification protocol of the
    MoCo papers). `all`: all layers."""
    finetune_recipe: Literal[
        "moco_v1", "moco_v3_resnet", "moco_v3_vit", "simclr", "swav", "simsiam", "fast_moco", "deit"
    ] = "moco_v3_resnet"
    """The paper whose settings train the head. `moco_v1` is the recipe of MoCo v1 and v2; its
    learning rate of 30 suits their features and few others. `simsiam` and `fast_moco` use LARS.
    `deit` is for `--finetune all`: it trains all layers of a vision transformer with strong
    augmentation, as for MoCo v3. The other recipes train all layers as in SimCLR."""
    finetune_epochs: int | None = None
    """Number of epochs. The default is the paper's: 100 or 90 for the head, 60 for all layers,
    and 150 with `deit`."""
    finetune_lr: float | None = None
    """Learning rate in place of the paper's, before it is scaled with the batch size. It needs
    exactly one of `--finetune head` and `--finetune all`."""
    finetune_batch_size: int | None = None
    """Images in one training step, counted over all processes. The default is the paper's, or 256:
    4,096 for `simclr`, `simsiam` and `fast_moco`, 1,024 for `deit`."""
    size: InputSize = None
    crop_mode: CropMode = None
    batch_size: int = 256
    """Images per forward pass."""
    val_share: ValShare = VAL_SHARE
    max_train_per_class: MaxTrainPerClass = None
    workers: int | None = None
    """Number of processes that read images. 0 reads in this process. The default is one per core if
    reading is slow."""
    device: Device = "auto"
    precision: Precision = "fp32"
    videos: LabelledVideosConfig = field(default_factory=LabelledVideosConfig)
    fresh: bool = False
    """Compute all features again, and ignore those cached by an earlier comparison."""
    seed: int = 0
    """Seed of the random weights, of the probe's split, and of a val part that is drawn."""

    def __post_init__(self) -> None:
        self._require(0 < self.val_share < 1, "val_share", "between 0 and 1")
        self._require(len(self.backbone) >= 1, "backbone", "at least one backbone")
        self._require(
            len(self.k) >= 1 and min(self.k) >= 1, "k", "one or more numbers, each at least 1"
        )
        for name in ("k", "tau", "few_shot"):
            given = getattr(self, name)
            self._require(len(set(given)) == len(given), name, "different numbers")
        self._require(
            len(self.tau) >= 1 and min(self.tau) > 0,
            "tau",
            "one or more numbers greater than 0",
        )
        self._require(
            all(0 < share < 1 for share in self.few_shot),
            "few_shot",
            "shares, each between 0 and 1",
        )
        self._require(
            len(set(self.finetune)) == len(self.finetune), "finetune", "each of head and all once"
        )
        self._positive("finetune_lr")
        self._require(
            self.finetune_lr is None or len(self.finetune) == 1,
            "finetune_lr",
            "given with only one of --finetune head and all, whose learning rates differ",
        )
        self._require(
            self.finetune_recipe != "deit" or self.finetune == ("all",),
            "finetune_recipe",
            "another one without --finetune all, or with --finetune head: it trains all layers",
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
                "--torchvision names a dataset of images, --videos.labels one of videos. Give only "
                "one."
            )


@dataclass(frozen=True, kw_only=True)
class ReportCommand(Settings):
    """Write one HTML page on a run or a comparison: curves, pairs, tables, pictures."""

    sources: Positional[tuple[Path, ...]]
    """Run folders and results files (.json), of `vidmoco evaluate` or `vidmoco evaluate-detection`,
    in any order. Several runs are compared: their curves in the same charts, and the settings that
    differ."""
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    """The page to write (.html). The default is report.html in the run folder, or beside the
    results file. Several sources need it."""
    results: tuple[Path, ...] = ()
    """More results files to show. The default is the run folder's results.json, if there is one."""
    features: Path | None = None
    """Output of `vidmoco extract`, a file or a folder. The page then has a map of frames and
    nearest neighbours."""
    pairs: int = 6
    """Number of sampled pairs to show, at most 64. With 0 no video is read."""

    def __post_init__(self) -> None:
        self._require(0 <= self.pairs <= 64, "pairs", "from 0 to 64")
        if not self.sources:
            raise ConfigError("Nothing to report on. Give a run folder, such as runs/latest.")
        if len(self.sources) > 1 and self.output is None:
            raise ConfigError(
                f"A report on {len(self.sources)} sources belongs beside none of them. Name its "
                "file: -o report.html."
            )


@dataclass(frozen=True, kw_only=True)
class SearchCommand(Settings):
    """Find the frames most similar to an image, among features that extract wrote."""

    features: Positional[Path]
    """Output of `vidmoco extract`: a file, a folder, or the URL of a dataset."""
    query: str
    """An image, or a video with a time: clip.mp4@12.5 (seconds) or clip.mp4@1:02.5."""
    output: Annotated[Path, arg(aliases=["-o"])] = Path("search.png")
    """The contact sheet to write (.png)."""
    top: int = 12
    """Number of frames to show, at most 200."""
    per_video: int | None = None
    """Maximum number of frames of one video. By default it is large enough to find --top frames."""
    min_gap: float = 2.0
    """Minimum time between two shown frames of one video, in seconds."""
    backbone: str | None = None
    """The backbone that made the features, if it has moved. The default is the path that the
    features name."""
    device: Device = "auto"
    limits: Expert[ForVideos] = field(default_factory=Limits)

    def __post_init__(self) -> None:
        self._require(1 <= self.top <= 200, "top", "from 1 to 200")
        self._at_least(1, "per_video")
        self._require(0 <= self.min_gap < float("inf"), "min_gap", "0 seconds or more")


@dataclass(frozen=True, kw_only=True)
class ExploreCommand(Settings):
    """Draw the features that extract wrote, and list likely shot boundaries and near-duplicates."""

    features: Positional[Path]
    """Output of `vidmoco extract`: a file, a folder, or the URL of a dataset."""
    output: Annotated[Path, arg(aliases=["-o"])] = Path("explore")
    """The folder to write pictures and tables to."""
    layout: Literal["tsne", "pca"] = "tsne"
    """Layout of the map: t-SNE (needs vidmoco[eval]) or the first two principal components."""
    map_frames: int = 2000
    """Maximum number of frames on the map. If there are more, evenly spaced ones are taken."""
    max_videos: int = 12
    """Number of files in the pictures over time, at most 100. If there are more, evenly spaced ones
    are taken."""
    duplicate_similarity: float = 0.95
    """Minimum cosine similarity of near-duplicates."""
    duplicate_gap: float = 5.0
    """Minimum time between near-duplicates in one video, in seconds."""
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
