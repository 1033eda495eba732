"""How many workers a Ray cluster has room for, and what each gets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vidmoco.config.extract import ExtractCommand
from vidmoco.errors import ConfigError

# assumption: four processes feed a GPU, and a model on a CPU gains little from more threads.
_MOST_CPUS = 4


@dataclass(frozen=True)
class Share:
    """Workers, and what Ray reserves for each."""

    num_workers: int
    cpus: int
    gpus: float
    decoders: int
    """Processes of a worker that decode."""

    def __str__(self) -> str:
        gpus = f", GPUs of each: {self.gpus:g}" if self.gpus else ""
        return f"{self.num_workers} (CPUs of each: {self.cpus}{gpus})"


def share_of(
    nodes: Sequence[Mapping[str, Any]], command: ExtractCommand, *, num_videos: int
) -> Share:
    """Return what fits into a cluster.

    Args:
        nodes: as ``ray.nodes()`` lists them.
        command: its device, workers and resources.
        num_videos: more workers than videos are of no use.

    Raises:
        ConfigError: the cluster has not what a single worker needs.
    """
    living = [node["Resources"] for node in nodes if node["Alive"]]
    has_gpus = any(node.get("GPU", 0) for node in living)
    gpus = command.ray_gpus
    if gpus is None:
        gpus = 1.0 if command.device == "cuda" or (has_gpus and command.device == "auto") else 0.0
    usable = [node for node in living if node.get("CPU", 0) >= 1 and node.get("GPU", 0) >= gpus]
    if not usable:
        what = f"a CPU and GPUs for --ray-gpus {gpus:g}" if gpus else "a CPU"
        raise ConfigError(
            f"No node of the Ray cluster has {what}. Give --device cpu or other --ray-gpus, or "
            "start nodes."
        )
    most = command.ray_workers or num_videos
    by_gpu = [int(node["GPU"] / gpus) if gpus else num_videos for node in usable]
    fair = (int(node["CPU"]) // min(room, most) for node, room in zip(usable, by_gpu, strict=True))
    if gpus:
        cpus = max(1, min(_MOST_CPUS, *fair))
    else:
        total = sum(int(node["CPU"]) for node in usable)
        smallest = min(int(node["CPU"]) for node in usable)
        cpus = max(1, min(_MOST_CPUS, smallest, total // (command.ray_workers or 1)))
    cpus = command.workers or cpus
    room = sum(
        min(int(node["CPU"]) // cpus, by_gpu_) for node, by_gpu_ in zip(usable, by_gpu, strict=True)
    )
    if not room:
        raise ConfigError(
            f"No node of the Ray cluster has {cpus} CPUs for --workers {cpus}. Give fewer."
        )
    num_workers = min(num_videos, command.ray_workers or room)
    decoders = command.workers or (cpus if gpus else max(1, cpus // 2))
    return Share(num_workers, cpus, gpus, decoders)
