"""Settings of ``extract``."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from vidmoco.config.base import Settings
from vidmoco.config.fields import CropMode, Device, ForFrames, ForVideos, InputSize, Precision
from vidmoco.config.frame_selection import FrameSelection, require_one
from vidmoco.config.limits import Limits
from vidmoco.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class ExtractCommand(Settings):
    """Write one feature per frame of videos: of one to a file, of many to a dataset."""

    videos: Positional[tuple[Path, ...]]
    """Videos, folders of videos, catalogs (.parquet), URLs of videos, patterns in quotes
    ('v/*.mp4'), or @FILE: a text file with one of these per line (@- is the standard input)."""
    output: Annotated[Path, arg(aliases=["-o"])]
    """A file (.npy or .parquet) for one video, or a dataset to add it to; for many a folder, or a
    URL of fsspec such as s3://bucket/feats."""
    backbone: str | None = None
    """A run folder, a backbone folder, a timm name, `hf-hub:OWNER/NAME`, or `random:` and one of
    these. The default is runs/latest, or timm's ResNet-50 if there is no run."""
    frames: ForFrames = field(default_factory=FrameSelection)
    times_file: Path | None = None
    """A CSV file with the columns video and seconds: a row per frame to take. A video is named by
    its path relative to the given folder, or as it is given."""
    feature: Literal["pooled", "cls", "patches"] = "pooled"
    """What a feature is: the backbone's pooled output (D), its class token (D), or its patch tokens
    (P, D) without class and register tokens, which are the places of the last map of a ResNet."""
    pool: Literal["none", "mean", "max"] = "none"
    """Pool the features of a video into one row, or of each shot with --scenes all."""
    normalize: bool = False
    """Divide each feature by its length (L2), after pooling."""
    dtype: Literal["float32", "float16"] = "float32"
    """Type of the stored features."""
    format: Literal["parquet", "npy"] | None = None
    """What is written of many videos. `parquet`: a dataset of Parquet files, with the name of the
    video in a column. `npy`: a file for each. The default is parquet, and for one video a file."""
    suffix: Literal[".npy", ".parquet"] | None = None
    """File type of --format npy, .npy by default."""
    labels: Path | None = None
    """A CSV file whose columns are copied to the dataset."""
    labels_key: str = "path"
    """The column of --labels that names the video, by its path relative to the given folder, or as
    it is given."""
    batch_size: int | None = None
    """Frames per forward pass. The default is as many as fit on a CUDA device, and 64 on a CPU."""
    workers: int | None = None
    """Number of processes that decode, a video each. The default is half of the cores, at most 4.
    With Ray it is the number for each worker."""
    engine: Literal["local", "torchrun", "ray"] = "local"
    """Who extracts many videos: this process, one for each GPU of this machine, which torchrun
    starts, or workers on a Ray cluster (needs vidmoco[ray])."""
    ray_address: str | None = None
    """HOST:PORT of the cluster, which this machine is a node of, or auto (the one that runs here),
    or local (a new one). The default is RAY_ADDRESS, the cluster that runs here, or a new one."""
    ray_workers: int | None = None
    """Number of workers. The default is as many as the cluster has room for."""
    ray_gpus: float | None = None
    """GPUs of a worker, which may be a part of one, such as 0.5. The default is 1 where the cluster
    has any."""
    max_download: float = 4.0
    """Refuse URLs of larger files, in GiB. A file is deleted when its features are written. The
    next four are fetched meanwhile."""
    size: InputSize = None
    crop_mode: CropMode = None
    device: Device = "auto"
    precision: Precision = "fp32"
    overwrite: bool = False
    """Begin a dataset anew, or write finished files again. The file of a single video is always
    written, but over a file that vidmoco did not make only with this."""
    limits: ForVideos = field(default_factory=Limits)

    def __post_init__(self) -> None:
        self._require(len(self.videos) >= 1, "videos", "one or more folders or files")
        self._at_least(1, "batch_size", "workers", "ray_workers")
        self._require_ray_settings()
        self._at_least(8, "size", unit=" pixels")
        self._positive("max_download", unit=" GiB")
        by_file = ["--times-file"] if self.times_file is not None else []
        ways = self.frames.ways
        if not by_file or ways not in (["--fps"], ["--num-frames"]):  # those of clips in the file
            require_one(ways + by_file)
        if self.frames.scenes == "all" and (self.pool == "none" or by_file):
            raise ConfigError("--scenes all needs --pool mean or max, and no --times-file.")
        if self.format == "parquet" and self.suffix is not None:
            raise ConfigError(
                "--suffix is the type of --format npy, a file per video. Give only one of them."
            )
        if self.labels is None and self.labels_key != "path":
            raise ConfigError("--labels-key names a column of --labels. Give --labels too.")

    def _require_ray_settings(self) -> None:
        gpus = self.ray_gpus
        whole_or_part = gpus is None or 0 <= gpus <= 1 or (gpus > 1 and gpus % 1 == 0)
        self._require(whole_or_part, "ray_gpus", "from 0 to 1, or a whole number")
        given = (self.ray_address, self.ray_workers, self.ray_gpus)
        if self.engine != "ray" and given != (None, None, None):
            raise ConfigError("--ray-address, --ray-workers and --ray-gpus need --engine ray.")
        if self.engine == "ray" and self.device not in ("auto", "cpu", "cuda"):
            raise ConfigError(
                f"--device is {self.device}, and Ray gives each worker its GPU. Give auto, cpu or "
                "cuda."
            )
        if self.device == "cpu" and gpus:
            raise ConfigError("--ray-gpus are not used with --device cpu. Give only one of them.")
        if self.device == "cuda" and gpus == 0:
            raise ConfigError("--device cuda needs GPUs, and --ray-gpus is 0.")

    @property
    def writes_dataset(self) -> bool:
        """Whether many videos are written to one dataset, and not to a file each."""
        return self.format == "parquet" or (self.format is None and self.suffix is None)

    @property
    def file_suffix(self) -> str:
        """The suffix of a file per video."""
        return self.suffix or ".npy"
