"""The settings of each command; of trainings in ``config``, of judging features in their own."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from vidmoco.config.base import Settings
from vidmoco.config.fields import CropMode, Device, ForVideos, InputSize, Precision, Recipe
from vidmoco.config.limits import Limits
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.errors import ConfigError

MOST_FPS = 1000.0  # assumption: who wants more of a fast camera wants every frame
_RATES = f"greater than 0 and at most {MOST_FPS:g} (frames per second)"


@dataclass(frozen=True, kw_only=True)
class PretrainCommand:
    """Train a backbone on pairs of frames. Writes a run folder."""

    config: Annotated[PretrainConfig, arg(name="")] = field(default_factory=PretrainConfig)
    recipe: Recipe = "vidmoco"
    run: Path | None = None
    """The run folder to write; default: runs/ and the recipe's name with a number."""
    resume: bool = False
    """Go on with the run from its newest checkpoint (--run, default: runs/latest)."""


@dataclass(frozen=True, kw_only=True)
class ScanCommand(Settings):
    """Look at every video of a folder: what it is, and how it may be read."""

    videos: Positional[tuple[Path, ...]] = ()
    """Folders of videos, or video files."""
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    """Where to write the catalog (.parquet); default: the user's cache, where pretrain finds it."""
    workers: int | None = None
    """Processes that look at files; None: one a core."""
    fresh: bool = False
    """Look at every file again, changed or not."""
    verify: bool = False
    """Also decode everything once, and list what is not as the scan says."""
    limits: ForVideos = field(default_factory=Limits)

    def __post_init__(self) -> None:
        self._at_least(1, "workers")


@dataclass(frozen=True, kw_only=True)
class PrepareCommand(Settings):
    """Decode videos once into shards of JPEG frames, from which pretrain reads much faster."""

    videos: Positional[tuple[Path, ...]]
    """Folders of videos, video files or catalogs (.parquet)."""
    output: Annotated[Path, arg(aliases=["-o"])]
    """The folder to write. One that was begun, or whose videos have changed, is brought up to
    date."""
    fps: float | None = 4.0
    """Frames per second to keep: those shown at 0, 1/fps, 2/fps … seconds; None: every frame."""
    short_side: int = 256
    """Frames are made smaller to this short side, in pixels; smaller ones stay as they are."""
    quality: int = 90
    """Quality of the JPEG files, from 1 to 100."""
    drop_black: bool = False
    """Leave out black frames."""
    min_sharpness: float = 0.0
    """Leave out blurred frames, whose Laplacian has a smaller variance (100 is a usual choice)."""
    min_change: float = 0.0
    """Leave out frames that differ less from the last one kept, in grey levels of 0 to 255."""
    labels: Path | None = None
    """A CSV file; its columns are carried over into the index of frames."""
    labels_key: str = "path"
    """The column of --labels that names the video: its path below the folder given."""
    shard_mib: float = 256.0
    """About the size of a shard, in MiB."""
    workers: int | None = None
    """Processes that decode; None: one a core."""
    limits: ForVideos = field(default_factory=Limits)

    def __post_init__(self) -> None:
        self._require(len(self.videos) >= 1, "videos", "one or more folders or files")
        self._require(
            self.fps is None or 0 < self.fps <= MOST_FPS, "fps", f"None (all) or {_RATES}"
        )
        self._at_least(8, "short_side", unit=" pixels")
        self._require(1 <= self.quality <= 100, "quality", "from 1 to 100")
        self._require(self.min_sharpness >= 0, "min_sharpness", "0 or more")
        self._require(0 <= self.min_change <= 255, "min_change", "from 0 to 255 grey levels")
        self._require(self.shard_mib > 0, "shard_mib", "greater than 0 MiB")
        if self.labels is None and self.labels_key != "path":
            raise ConfigError("--labels-key is the column of --labels, which is not given.")
        self._at_least(1, "workers")


@dataclass(frozen=True, kw_only=True)
class PreviewCommand(Settings):
    """Draw the first pairs and views that pretrain would train on with the same flags."""

    config: Annotated[PretrainConfig, arg(name="")] = field(default_factory=PretrainConfig)
    recipe: Recipe = "vidmoco"
    output: Annotated[Path, arg(aliases=["-o"])] = Path("preview.png")
    """The picture to write (.png)."""
    pairs: int = 8
    """Pairs to draw, at most 256."""

    def __post_init__(self) -> None:
        self._require(1 <= self.pairs <= 256, "pairs", "from 1 to 256")


@dataclass(frozen=True, kw_only=True)
class ExtractCommand(Settings):
    """Write one feature per frame of a video, or of every video of a folder."""

    video: Positional[Path]
    """A video, a folder of videos or a catalog (.parquet)."""
    output: Annotated[Path, arg(aliases=["-o"])]
    """A file (.npy or .parquet) for one video, a folder for many."""
    backbone: str | None = None
    """A run or backbone folder, or a timm name; default: runs/latest, else timm's ResNet-50."""
    fps: float | None = None
    """Frames per second to take; None: every frame."""
    every: int = 1
    """Take every n-th frame."""
    dtype: Literal["float32", "float16"] = "float32"
    """Type of the features in the file."""
    suffix: Literal[".npy", ".parquet"] = ".npy"
    """File type where the output is a folder."""
    batch_size: int | None = None
    """Frames in one pass through the backbone; None: as many as fit on CUDA, 64 on a CPU."""
    size: InputSize = None
    crop_mode: CropMode = None
    device: Device = "auto"
    precision: Precision = "fp32"
    overwrite: bool = False
    """In a folder, write finished files again; the file of one video is always written."""
    limits: ForVideos = field(default_factory=Limits)

    def __post_init__(self) -> None:
        self._require(
            self.fps is None or 0 < self.fps <= MOST_FPS,
            "fps",
            f"{_RATES}, or left out for all",
        )
        self._at_least(1, "every", "batch_size")
        self._at_least(8, "size", unit=" pixels")
        if self.fps is not None and self.every != 1:
            raise ConfigError("--fps and --every are both given; give one of the two.")


@dataclass(frozen=True, kw_only=True)
class ImportCommand(Settings):
    """Turn a published checkpoint of another tool into a backbone folder."""

    checkpoint: Positional[Path]
    """The file: of MoCo v1, v2, v3, Fast-MoCo, SimSiam, SwAV, DINO, mmselfsup, solo-learn, lightly,
    timm or torchvision."""
    output: Annotated[Path, arg(aliases=["-o"])]
    """The backbone folder to write."""
    architecture: str | None = None
    """timm's name of the network; None: as its weights say."""
    heads: int | None = None
    """Attention heads of a transformer, which its weights do not show; None: as is known of the
    tool, or of the fixed position embedding of MoCo v3."""
    prefix: str | None = None
    """What the keys of the backbone begin with, such as `module.encoder_k.`; None: as is usual in
    the tool that the checkpoint is of."""
    size: int | None = None
    """Side of the images that it was trained on, in pixels; None: as its weights say, or 224."""
    overwrite: bool = False
    """Replace the folder."""

    def __post_init__(self) -> None:
        self._at_least(8, "size", unit=" pixels")
        self._at_least(1, "heads")


@dataclass(frozen=True, kw_only=True)
class ExportCommand(Settings):
    """Give a run's backbone to timm, under a name of yours, or to other tools, as a file."""

    run: Positional[Path]
    """A run folder, or a backbone folder."""
    to: Literal["timm", "torchvision", "moco", "moco_v3", "onnx"] = "timm"
    """`timm` knows it by --name from then on, after `import vidmoco`; `torchvision`: weights for
    its ResNets and transformers; `moco`, `moco_v3`: as the authors' programs for linear
    classification and detection read them; `onnx`: the whole network (extra: vidmoco[onnx])."""
    name: str | None = None
    """The backbone's name; timm shows it as vidmoco_NAME."""
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    """The file to write."""
    overwrite: bool = False
    """Replace a backbone of that name, or the file."""

    def __post_init__(self) -> None:
        if self.to == "timm" and (self.name is None or self.output is not None):
            raise ConfigError(
                "timm finds a backbone by its name: give --name, and no --output. For a file, say "
                "which with --to torchvision, moco, moco_v3 or onnx."
            )
        if self.to != "timm" and (self.output is None or self.name is not None):
            raise ConfigError(f"--to {self.to} writes a file: give -o FILE, and no --name.")


@dataclass(frozen=True, kw_only=True)
class DemoCommand(Settings):
    """The whole way in a few minutes on a CPU, on sample videos that it makes itself."""

    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    """Empty folder for videos, runs and results; default: vidmoco-demo, or that with a number."""
    seed: int = 0
    """Seed of the videos and of the runs."""

    def __post_init__(self) -> None:
        self._is_seed()


@dataclass(frozen=True, kw_only=True)
class DoctorCommand:
    """Show versions, FFmpeg builds and what is known against them, devices, and what reads what."""
