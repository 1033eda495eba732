"""One step of a training: views, loss, gradients, optimiser; on one process or on several."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from vidmoco import distributed
from vidmoco.augment.views import Augment
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.data.batches import PairBatch
from vidmoco.device import to_device_ahead
from vidmoco.train.metrics import require_finite


def augmented_views(
    batch: PairBatch,
    augment: Augment,
    generator: torch.Generator,
    config: PretrainConfig,
    device: torch.device,
) -> list[Tensor]:
    """Return the query view, the key view and the small crops, on the device."""
    own = distributed.shard(config.data.batch_size)
    aspect_ratios = distributed.gather_rows(batch.aspect_ratios)
    views = augment(to_device_ahead(batch.frames, device), aspect_ratios, generator, own=own)
    if config.engine.channels_last:
        views = [view.contiguous(memory_format=torch.channels_last) for view in views]
    return views


def train_step(
    method: nn.Module,
    optimizer: torch.optim.Optimizer,
    views: list[Tensor],
    *,
    source_ids: Tensor,
    times: Tensor,
    progress: float,
    num_parts: int,
    clip_gradient: float | None,
    cast: AbstractContextManager[None],
) -> dict[str, Tensor]:
    """Take one optimiser step over ``num_parts`` micro-batches; return loss and diagnostics.

    A method may want several passes over each, with a backward of their own.
    """
    sums: dict[str, Tensor] = {}
    if views[0].is_cuda:  # elsewhere there are no graphs, and this imports the compiler: 5 s
        torch.compiler.cudagraph_mark_step_begin()  # what the last step's graphs gave is done with
    bare: Any = method.module if isinstance(method, DistributedDataParallel) else method
    passes = range(getattr(bare, "passes", 1))
    parts = [(part, number) for part in range(num_parts) for number in passes]
    embeddings: list[tuple[Tensor, Tensor]] = []
    for part, number in parts:
        with nullcontext() if (part, number) == parts[-1] else _without_averaging(method):
            with cast:
                loss, stats = method(
                    [view.chunk(num_parts)[part] for view in views],
                    source_ids=source_ids.chunk(num_parts)[part],
                    times=times.chunk(num_parts)[part],
                    progress=progress,
                    first=part == 0,
                    last=part == num_parts - 1,
                    **({"pass_number": number} if len(passes) > 1 else {}),
                )
            (loss / len(parts)).backward()
        if num_parts > 1 and number == passes[0]:
            embeddings.append(bare.embeddings)
        for name, value in {"loss": loss.detach(), **stats}.items():
            sums[name] = sums[name] + value if name in sums else value
    if num_parts > 1:  # diagnostics are of the batch
        bare.embeddings = tuple(map(torch.cat, zip(*embeddings, strict=True)))
    values = {name: total / len(parts) for name, total in sums.items()}
    if not values["loss"].is_cuda:  # on CUDA the metrics look, at every interval and checkpoint
        require_finite(values["loss"].item())
    if clip_gradient is not None:
        nn.utils.clip_grad_norm_(method.parameters(), clip_gradient)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return values


def _without_averaging(method: nn.Module) -> AbstractContextManager[None]:
    """Return the context of a micro-batch that is not the last: gradients stay here until then."""
    if isinstance(method, DistributedDataParallel):
        return method.no_sync()
    return nullcontext()
