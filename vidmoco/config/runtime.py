"""Settings of how a training runs: device, precision, checkpoints."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from tyro.conf import arg

from vidmoco.config.base import Settings
from vidmoco.config.fields import Device, Everyday, Expert

LoggerName = Literal["tensorboard", "wandb", "mlflow"]


@dataclass(frozen=True, kw_only=True)
class EngineConfig(Settings):
    """How the training runs, as opposed to what it computes."""

    SECTION: ClassVar[str] = "engine"

    device: Annotated[Everyday[Device], arg(aliases=["--device"])] = "auto"
    precision: Annotated[
        Everyday[Literal["auto", "bf16", "fp32"]],
        arg(
            aliases=["--precision"],
            help="Arithmetic of the networks. bf16 is autocast: weights stay float32. `auto` takes "
            "bf16 where the device has units for it, and float32 elsewhere.",
        ),
    ] = "auto"
    channels_last: Expert[bool] = True
    """Use the channels-last memory format for images and convolutions."""
    threads: int | None = None
    """Number of threads of the training on a CPU. The default is OMP_NUM_THREADS if it is set, else
    one per core, or half of that if the other cores decode videos."""
    compile: bool = False
    """Compile the encoders with torch.compile, which takes a minute at the start."""
    cuda_graphs: Expert[bool] = False
    """Let CUDA replay an encoder's kernels as one graph, which helps small models and batches. It
    needs --engine.compile."""
    log: Annotated[
        Everyday[tuple[LoggerName, ...]], arg(aliases=["--log"], metavar="TOOL ...")
    ] = ()
    """Other tools that show the training too: `tensorboard`, `wandb`, `mlflow`, one or more. Each
    needs its package, such as vidmoco[wandb]."""
    log_every: Expert[int] = 10
    """Steps between two lines of metrics.jsonl."""
    checkpoint_minutes: Expert[float] = 10.0
    """Minutes between two checkpoints. One is always written at the end and after a signal."""
    checkpoint_steps: Expert[int | None] = None
    """Steps between two checkpoints. It replaces --engine.checkpoint-minutes."""
    keep_checkpoints: Expert[int] = 2
    """Number of checkpoints to keep, the newest."""

    def __post_init__(self) -> None:
        self._at_least(1, "threads", "log_every", "checkpoint_steps", "keep_checkpoints")
        self._require(
            self.compile or not self.cuda_graphs, "cuda_graphs", "False without --engine.compile"
        )
        self._require(self.checkpoint_minutes >= 0, "checkpoint_minutes", "0 or more minutes")
