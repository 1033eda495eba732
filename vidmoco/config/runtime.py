"""The settings of how a training runs, on which device and in which arithmetic."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from tyro.conf import arg

from vidmoco.config.base import Settings
from vidmoco.config.fields import Device, Everyday, Expert, Precision


@dataclass(frozen=True, kw_only=True)
class EngineConfig(Settings):
    """How the training runs; not what it computes."""

    SECTION: ClassVar[str] = "engine"

    device: Annotated[Everyday[Device], arg(aliases=["--device"])] = "auto"
    precision: Annotated[Everyday[Precision], arg(aliases=["--precision"])] = "bf16"
    channels_last: Expert[bool] = True
    """Memory format of images and convolutions."""
    threads: int | None = None
    """Threads of the training on a CPU; None: all cores, or half where the others decode videos."""
    compile: bool = False
    """Compile both encoders with torch.compile (a minute at the start, faster afterwards)."""
    cuda_graphs: Expert[bool] = False
    """With --engine.compile: CUDA replays an encoder's kernels as one graph, which helps small
    models and batches."""
    log_every: Expert[int] = 10
    """Steps between two lines of metrics.jsonl."""
    checkpoint_minutes: float = 10.0
    """Minutes between two checkpoints; one is always written at the end and on an interrupt."""
    keep_checkpoints: Expert[int] = 2
    """Newest checkpoints to keep."""

    def __post_init__(self) -> None:
        self._at_least(1, "threads", "log_every", "keep_checkpoints")
        self._require(
            self.compile or not self.cuda_graphs, "cuda_graphs", "False without --engine.compile"
        )
        self._require(self.checkpoint_minutes >= 0, "checkpoint_minutes", "0 or more minutes")
