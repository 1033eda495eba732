"""The settings of what a training reads: which frames make a pair, and how they are read."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from tyro.conf import arg

from vidmoco.config.base import Settings
from vidmoco.config.fields import Everyday, Expert


@dataclass(frozen=True, kw_only=True)
class DataConfig(Settings):
    """Which frames make a pair, and how they come to the device."""

    SECTION: ClassVar[str] = "data"

    batch_size: Annotated[Everyday[int], arg(aliases=["--batch-size"])] = 256
    """Pairs in one step, of all processes together, each from another video."""
    short_side: int = 256
    """Frames are resized to this short side (pixels) when they are decoded, before any crop."""
    gap_law: Literal["linear_decay", "uniform", "segments"] = "linear_decay"
    """How far apart the frames of a pair are. `linear_decay`: any two of the video, so that short
    gaps are likelier; `uniform`: every gap equally likely; `segments`: one of each half."""
    min_gap: float = 0.0
    """Least time between the two frames of a pair, or the first and the last of more, in seconds (a
    shorter video gives its longest gap)."""
    max_gap: float | None = None
    """Greatest time between them, in seconds; None: the whole video."""
    single_frame: Annotated[Everyday[bool], arg(aliases=["--single-frame"])] = False
    """The control: every pair is two views of one frame, as in the image papers."""
    frames_per_video: int = 2
    """Frames that are taken of a video at a time. More than 2 are further positives (MoCo), the
    patches of one view (Fast-MoCo) or small crops; see --augment.large-views."""
    pairs_per_visit: int = 4
    """Pairs that are taken from a video each time it is opened, for as many batches. More of them
    cost less decoding; the pairs of a video then come closer together in the order."""
    block_gib: Expert[float] = 2.0
    """GiB of memory for the pairs that visits take ahead of their batches. More mixes better."""
    decoder: Literal["auto", "decord", "pyav"] = "auto"
    """`auto`: the fastest for each video, PyAV for H.264 and decord for VP8, VP9 and AV1; `decord`:
    decord wherever it is right; `pyav`: PyAV alone, for videos that you do not trust. All give the
    same frames."""
    workers: Annotated[Everyday[int | None], arg(aliases=["--workers"])] = None
    """Processes that decode; 0: the training process itself, unprotected from what videos may do;
    None: one a core, at most 16, shared by the trainings of a machine."""

    def __post_init__(self) -> None:
        self._at_least(2, "batch_size")
        self._at_least(8, "short_side", unit=" pixels")
        self._require(2 <= self.frames_per_video <= 16, "frames_per_video", "from 2 to 16")
        self._require(
            self.frames_per_video == 2
            or self.gap_law != "segments"
            or (self.min_gap == 0 and self.max_gap is None),
            "frames_per_video",
            "2 where segments have a --data.min-gap or --data.max-gap",
        )
        self._require(self.min_gap >= 0, "min_gap", "0 or more seconds")
        self._require(
            self.max_gap is None or self.max_gap >= self.min_gap,
            "max_gap",
            f"None or at least --data.min-gap ({self.min_gap} s)",
        )
        self._require(1 <= self.pairs_per_visit <= 64, "pairs_per_visit", "from 1 to 64")
        self._require(self.block_gib > 0, "block_gib", "greater than 0 GiB")
        self._require(self.workers is None or self.workers >= 0, "workers", "None, 0 or more")
