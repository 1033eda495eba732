"""One training step: views, loss, gradients, optimiser; in one process or several."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from vidmoco import distributed
from vidmoco.augment.views import Augment
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.data.batches import PairBatch
from vidmoco.device import to_device_ahead
from vidmoco.distributed import without_averaging
from vidmoco.methods.protocol import Method
from vidmoco.train.metrics import require_finite


def augmented_views(
    batch: PairBatch,
    augment: Augment,
    generator: torch.Generator,
    config: PretrainConfig,
    device: torch.device,
) -> list[Tensor]:
    """Return the views of a batch on the device: large views first, then small crops."""
    own = distributed.shard(config.data.batch_size)
    aspect_ratios = distributed.gather_rows(batch.aspect_ratios)
    views = augment(to_device_ahead(batch.frames, device), aspect_ratios, generator, own=own)
    if config.engine.channels_last:
        views = [view.contiguous(memory_format=torch.channels_last) for view in views]
    return views


def train_step(
    method: Method,
    optimizer: torch.optim.Optimizer,
    views: list[Tensor],
    *,
    source_ids: Tensor,
    times: Tensor,
    progress: float,
    num_parts: int,
    clip_gradient: float | None,
    cast: AbstractContextManager[None],
    replica: nn.Module | None = None,
) -> dict[str, Tensor]:
    """Take one optimiser step over ``num_parts`` micro-batches; return loss and diagnostics.

    Args:
        method: the method of the run.
        optimizer: over its parameters.
        views: of this process's whole batch, as ``Method.forward`` takes them.
        source_ids: the video of each sample.
        times: the pts of each sample's frames, in seconds.
        progress: share of the training that is done.
        num_parts: number of micro-batches; it divides the batch.
        clip_gradient: maximum norm of the whole gradient.
        cast: context of the forward passes (``autocast``).
        replica: the method as wrapped by ``on_all_ranks``. None means the method itself.

    Raises:
        TrainingError: the loss is not finite (on CUDA, ``MetricsLog`` checks later).
    """
    forward = method if replica is None else replica
    sums: dict[str, Tensor] = {}
    embeddings: list[tuple[Tensor, Tensor]] = []
    if views[0].is_cuda:  # CPUs have no CUDA graphs, and the call imports the compiler for 5 s
        torch.compiler.cudagraph_mark_step_begin()  # outputs of the last step may be overwritten
    method.begin_step(progress)
    for part in range(num_parts):
        with nullcontext() if part == num_parts - 1 else without_averaging(forward):
            with cast:
                loss, stats = forward(
                    [view.chunk(num_parts)[part] for view in views],
                    source_ids=source_ids.chunk(num_parts)[part],
                    times=times.chunk(num_parts)[part],
                )
            (loss / num_parts).backward()
        embeddings.append(method.embeddings)
        for name, value in {"loss": loss.detach(), **stats}.items():
            sums[name] = sums[name] + value if name in sums else value
    if num_parts > 1:  # diagnostics describe the whole batch
        query, positive = map(torch.cat, zip(*embeddings, strict=True))
        method.embeddings = query, positive
    values = {name: total / num_parts for name, total in sums.items()}
    if not values["loss"].is_cuda:  # on CUDA checked at every log interval and checkpoint
        require_finite(values["loss"].item())
    if clip_gradient is not None:
        nn.utils.clip_grad_norm_(method.parameters(), clip_gradient)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    method.end_step()
    return values


def loss_of_first(
    method: Method,
    views: list[Tensor],
    num: int,
    *,
    source_ids: Tensor,
    times: Tensor,
    cast: AbstractContextManager[None],
) -> Tensor:
    """Return the loss of the first ``num`` samples, as a trial of the memory that they need."""
    method.zero_grad(set_to_none=True)  # what the step that ran out of memory has left
    with cast:
        loss: Tensor = method(
            [view[:num] for view in views], source_ids=source_ids[:num], times=times[:num]
        )[0]
    return loss
