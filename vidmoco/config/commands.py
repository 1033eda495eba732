"""Settings of each command but ``extract`` and those in ``evaluation`` and ``detection``."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from vidmoco.config.base import Settings
from vidmoco.config.export import TARGETS, repository_of, require_license, require_target
from vidmoco.config.fields import ForVideos, Recipe
from vidmoco.config.frame_selection import MOST_FPS, RATES
from vidmoco.config.limits import Limits
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.errors import ConfigError

Resume = Literal["no", "yes", "auto"]


@dataclass(frozen=True, kw_only=True)
class PretrainCommand:
    """Train a backbone on pairs of frames, and write a run folder."""

    config: Annotated[PretrainConfig, arg(name="")] = field(default_factory=PretrainConfig)
    recipe: Recipe = None
    run: Path | None = None
    """The run folder to write. The default is runs/RECIPE-NUMBER."""
    resume: Annotated[Resume, arg(metavar="[auto]")] = "no"
    """Resume a run from its newest checkpoint: the run of --run, or else runs/latest. With `auto`,
    resume where --run has a checkpoint, and begin where it has none."""


@dataclass(frozen=True, kw_only=True)
class ScanCommand(Settings):
    """Inspect every video of a folder: its format, its length, and which decoder may read it."""

    videos: Positional[tuple[Path, ...]] = ()
    """Folders of videos, video files, catalogs (.parquet), or @FILE: a text file with one of these
    per line."""
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    """Where to write the catalog (.parquet). The default is the user's cache, where pretrain finds
    it."""
    workers: int | None = None
    """Number of processes that inspect files. The default is one per core."""
    fresh: bool = False
    """Inspect every file again, even if it has not changed."""
    verify: bool = False
    """Also decode every video once, and list the differences from the scan."""
    limits: ForVideos = field(default_factory=Limits)

    def __post_init__(self) -> None:
        self._at_least(1, "workers")


@dataclass(frozen=True, kw_only=True)
class PrepareCommand(Settings):
    """Decode videos once into shards of JPEG frames, which pretrain reads much faster."""

    videos: Positional[tuple[Path, ...]]
    """Folders of videos, video files, catalogs (.parquet), or @FILE: a text file with one of these
    per line."""
    output: Annotated[Path, arg(aliases=["-o"])]
    """The folder to write. An unfinished folder, or one whose videos have changed, is brought up to
    date: the given videos are added, those that are gone from a given folder are dropped, and all
    others stay."""
    fps: float | None = 4.0
    """Frames per second to keep: those shown at 0, 1/fps, 2/fps, … seconds. None means every
    frame."""
    short_side: int = 256
    """Frames are shrunk to this short side, in pixels. Smaller frames are not enlarged."""
    quality: int = 90
    """JPEG quality, from 1 to 100."""
    drop_black: bool = False
    """Drop black frames."""
    min_sharpness: float = 0.0
    """Drop blurred frames: those whose Laplacian has a smaller variance. 100 is a common choice."""
    min_change: float = 0.0
    """Drop frames whose mean difference from the last kept frame is smaller, in grey levels from 0
    to 255."""
    labels: Path | None = None
    """A CSV file whose columns are copied to the index of frames."""
    labels_key: str = "path"
    """The column of --labels that names the video, by its path relative to the given folder, or as
    it is given."""
    shard_mib: float = 256.0
    """Approximate size of a shard, in MiB."""
    workers: int | None = None
    """Number of decoding processes. The default is one per core."""
    limits: ForVideos = field(default_factory=Limits)

    def __post_init__(self) -> None:
        self._require(len(self.videos) >= 1, "videos", "one or more folders or files")
        self._require(
            self.fps is None or 0 < self.fps <= MOST_FPS, "fps", f"None (every frame) or {RATES}"
        )
        self._at_least(8, "short_side", unit=" pixels")
        self._require(1 <= self.quality <= 100, "quality", "from 1 to 100")
        self._require(self.min_sharpness >= 0, "min_sharpness", "0 or more")
        self._require(0 <= self.min_change <= 255, "min_change", "from 0 to 255 grey levels")
        self._positive("shard_mib", unit=" MiB")
        if self.labels is None and self.labels_key != "path":
            raise ConfigError("--labels-key names a column of --labels. Give --labels too.")
        self._at_least(1, "workers")


@dataclass(frozen=True, kw_only=True)
class PreviewCommand(Settings):
    """Draw the first pairs and views that pretrain would use with the same flags."""

    config: Annotated[PretrainConfig, arg(name="")] = field(default_factory=PretrainConfig)
    recipe: Recipe = None
    output: Annotated[Path, arg(aliases=["-o"])] = Path("preview.png")
    """The picture to write (.png)."""
    pairs: int = 8
    """Number of pairs to draw, at most 256."""

    def __post_init__(self) -> None:
        self._require(1 <= self.pairs <= 256, "pairs", "from 1 to 256")


@dataclass(frozen=True, kw_only=True)
class ImportCommand(Settings):
    """Convert a published checkpoint of another tool into a backbone folder."""

    checkpoint: Positional[Path]
    """The file, from MoCo v1, v2 or v3, Fast-MoCo, SimSiam, SwAV, DINO, DINOv2, MAE, mmselfsup,
    solo-learn, lightly, timm or torchvision."""
    output: Annotated[Path, arg(aliases=["-o"])]
    """The backbone folder to write."""
    architecture: str | None = None
    """timm's name of the network. By default it is recognised by its weights."""
    heads: int | None = None
    """Number of attention heads of a transformer, which the weights do not show. The default is
    that of the tool that wrote the file, or of MoCo v3's fixed position embedding."""
    prefix: str | None = None
    """Prefix of the backbone's keys, such as `module.encoder_k.`. The default is that of the tool
    that wrote the file."""
    size: int | None = None
    """Side of the training images, in pixels. By default it follows from the weights where they
    fix it, and is 224 elsewhere."""
    mean: tuple[float, float, float] | None = None
    """Mean of the red, green and blue pixels (0 to 1) by which the training images were normalised.
    The default is ImageNet's, as in these papers. Many of timm's own weights have 0.5 0.5 0.5."""
    std: tuple[float, float, float] | None = None
    """Their standard deviation, likewise."""
    max_unpacked_gib: float = 1.0
    """Refuse a compressed file that unpacks to more GiB than this, and than itself. torch.save
    compresses nothing."""
    overwrite: bool = False
    """Replace an existing folder."""

    def __post_init__(self) -> None:
        self._at_least(8, "size", unit=" pixels")
        self._at_least(1, "heads")
        self._require(
            self.mean is None or all(0 <= value <= 1 for value in self.mean),
            "mean",
            "three numbers from 0 to 1",
        )
        self._require(
            self.std is None or all(value > 0 for value in self.std),
            "std",
            "three numbers greater than 0",
        )
        self._positive("max_unpacked_gib", unit=" GiB")


@dataclass(frozen=True, kw_only=True)
class ExportCommand(Settings):
    """Give a run's backbone a name in timm, write it for other tools, or publish it on the Hub."""

    run: Positional[Path]
    """A run folder or a backbone folder. If --to writes a file, also a timm name,
    `hf-hub:OWNER/NAME`, or `random:` and one of these."""
    to: Annotated[str, arg(metavar="|".join((*TARGETS, "hub:USER/NAME")))] = "timm"
    """Where the backbone goes. `timm`: `import vidmoco` registers it under --name. `torchvision`: a
    file of weights for torchvision's ResNets and transformers. `moco`, `moco_v3`: a file for the
    authors' programs for linear classification and detection. `onnx`: the whole network (needs
    vidmoco[onnx]). `hub:USER/NAME`: a repository of the Hugging Face Hub, with a model card.
    `hf-folder`: the same as a folder."""
    name: str | None = None
    """The backbone's name. timm lists it as vidmoco_NAME."""
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    """The file to write, or the folder of `hf-folder`."""
    license: str | None = None
    """The terms on which others may use the weights, as the Hub names them: apache-2.0, cc-by-4.0,
    cc-by-nc-4.0, other, … Only you know what the videos allow, so `hub:` needs it; without it the
    card of `hf-folder` says `other`."""
    results: tuple[Path, ...] = ()
    """Results files of `evaluate` for the model card. The default is results.json in the run folder
    if it exists."""
    private: bool = False
    """Make the new repository of `hub:` private."""
    overwrite: bool = False
    """Replace an existing file or folder, an existing backbone of this name, or the files of a
    repository that vidmoco has written."""

    @property
    def repository(self) -> str | None:
        """``USER/NAME`` of ``hub:USER/NAME``, or None."""
        return repository_of(self.to)

    def __post_init__(self) -> None:
        require_target(self.to)
        is_hub = self.repository is not None
        takes_card = is_hub or self.to == "hf-folder"
        if (self.license is not None or self.results) and not takes_card:
            raise ConfigError("--license and --results are for --to hub:USER/NAME and hf-folder.")
        if self.private and not is_hub:
            raise ConfigError("--private is for --to hub:USER/NAME.")
        if is_hub and (self.output is not None or self.name is not None):
            raise ConfigError(f"--to {self.to} uploads: it takes no --output and no --name.")
        if self.license is not None or is_hub:
            require_license(self.license, to=self.to)
        if self.to == "timm" and (self.name is None or self.output is not None):
            raise ConfigError(
                "--to timm needs a --name, and takes no --output. To write a file, give --to "
                "torchvision, moco, moco_v3 or onnx."
            )
        kind = "folder" if takes_card else "file"
        if self.to != "timm" and not is_hub and (self.output is None or self.name is not None):
            raise ConfigError(
                f"--to {self.to} writes a {kind}: it needs -o {kind.upper()}, and no --name."
            )


@dataclass(frozen=True, kw_only=True)
class DemoCommand(Settings):
    """Run all steps on generated sample videos, in a few minutes on a CPU."""

    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    """An empty folder for videos, runs and results. The default is vidmoco-demo, with a number if
    it exists."""
    seed: int = 0
    """Seed of the videos and of the runs."""

    def __post_init__(self) -> None:
        self._is_seed()


@dataclass(frozen=True, kw_only=True)
class DoctorCommand:
    """Show versions, FFmpeg builds with their known problems, devices, and who decodes what."""
