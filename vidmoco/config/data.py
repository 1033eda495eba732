"""Settings of the training data: which frames form a pair, and how they are read."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from tyro.conf import arg

from vidmoco.config.base import Settings
from vidmoco.config.fields import Everyday, Expert


@dataclass(frozen=True, kw_only=True)
class DataConfig(Settings):
    """Which frames form a pair, and how they are decoded."""

    SECTION: ClassVar[str] = "data"

    batch_size: Annotated[Everyday[int], arg(aliases=["--batch-size"])] = 256
    """Pairs in one step, over all processes. Each is of another video or segment, if there are
    enough."""
    short_side: int = 256
    """Decoded frames are resized to this short side, in pixels, before they are cropped."""
    gap_law: Literal["linear_decay", "uniform", "segments"] = "linear_decay"
    """Distribution of the time between the frames of a pair. `linear_decay`: both frames are drawn
    uniformly from the video, so short gaps are more likely. `uniform`: all gaps are equally likely.
    `segments`: the video has as many equal parts as there are frames, and each gives one."""
    min_gap: float = 0.0
    """Minimum time between the first and the last frame of a pair, in seconds. A shorter
    video or segment gives its longest gap. If all are shorter, the setting is refused."""
    max_gap: float | None = None
    """Maximum time between the first and the last frame of a pair, in seconds. None means the whole
    video."""
    single_frame: Annotated[Everyday[bool], arg(aliases=["--single-frame"])] = False
    """Make both views of a pair from one frame, as the image papers do. This is the control
    experiment."""
    frames_per_video: int = 2
    """Frames drawn from a video at a time. More than 2 give MoCo more positives, Fast-MoCo more
    sources of patches, or small crops their own frames. See --augment.large-views."""
    frame_rate: Expert[float | None] = None
    """Frames per second of numbered images, where each folder is a video. Without it each image
    stands for itself."""
    segments: Literal["time", "shots", "whole"] = "time"
    """Parts of videos that count as videos of their own. `time`: parts of about 30 s, longer ones
    for longer gaps, and shorter ones where there is little footage. `shots`: the shots between hard
    cuts, and parts of long shots; to find them, all frames are decoded. `whole`: whole videos."""
    segment_seconds: Expert[float | None] = None
    """Length of these parts in seconds, in place of 30."""
    pairs_per_visit: int = 4
    """Pairs drawn from a video each time it is opened, each for another batch. A larger number
    costs less decoding, but brings the pairs of a video closer together in the training order."""
    block_gib: Expert[float | None] = None
    """GiB of memory for pairs that are decoded ahead of their batches. More memory mixes videos
    better. None means 2 GiB, or what a batch of each pair of a visit needs, if that is more."""
    decoder: Literal["auto", "decord", "pyav"] = "auto"
    """`auto`: the fastest decoder for each video, which is PyAV for H.264 and decord for VP8, VP9
    and AV1. `decord`: decord for every video that it decodes correctly. `pyav`: PyAV only, for
    untrusted videos. All give the same frames."""
    workers: Annotated[Everyday[int | None], arg(aliases=["--workers"])] = None
    """Number of decoding processes. The default is one per core, at most 16, divided among the
    training processes of the machine. 0 decodes in the training process, which a bad video can
    then crash."""

    def __post_init__(self) -> None:
        self._at_least(2, "batch_size")
        self._at_least(8, "short_side", unit=" pixels")
        self._require(2 <= self.frames_per_video <= 16, "frames_per_video", "from 2 to 16")
        self._require(
            self.frames_per_video == 2
            or self.gap_law != "segments"
            or (self.min_gap == 0 and self.max_gap is None),
            "frames_per_video",
            "2 for --data.gap-law segments with a --data.min-gap or --data.max-gap. Or give "
            "--data.min-gap 0 --data.max-gap None",
        )
        self._require(self.min_gap >= 0, "min_gap", "0 or more seconds")
        self._require(
            self.max_gap is None or self.max_gap >= self.min_gap,
            "max_gap",
            f"None or at least --data.min-gap ({self.min_gap} s)",
        )
        self._positive("frame_rate", unit=" frames per second")
        self._positive("segment_seconds", unit=" seconds")
        self._require(
            self.segment_seconds is None or self.segments != "whole",
            "segment_seconds",
            "None for --data.segments whole",
        )
        self._require(1 <= self.pairs_per_visit <= 64, "pairs_per_visit", "from 1 to 64")
        self._positive("block_gib", unit=" GiB")
        self._require(self.workers is None or self.workers >= 0, "workers", "None, 0 or more")
