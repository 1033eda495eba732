"""What a training says where a batch does not fit into memory: the batch that does."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import torch
from torch import Tensor

from vidmoco import distributed
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.errors import ConfigError, TrainingError, is_out_of_memory


@contextmanager
def naming_the_batch_that_fits(
    config: PretrainConfig, device: torch.device, attempt: Callable[[int], Tensor]
) -> Iterator[None]:
    """Let a step that runs out of memory end with what to do.

    Args:
        config: settings of the run.
        device: where it trains.
        attempt: returns the loss of the first n pairs of the batch. What it changes is of no use
            afterwards.

    Raises:
        TrainingError: the step ran out of memory.
    """
    try:
        yield
        return
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)  # they hold the activations
    share = config.data.batch_size // distributed.world_size() // config.optim.accumulate
    text = f"{share} pairs at once need more memory than {device} has left."
    parts, fits = 1, False
    least = 2 * config.method.num_parts  # batch norms need two values
    if distributed.world_size() == 1:  # others would wait for the keys of a trial
        while not fits and share % (2 * parts) == 0 and share // (2 * parts) >= least:
            parts *= 2
            fits = _fits(share // parts, attempt, device)
        text += f" {share // parts} fit." if fits else f" Not even {share // parts} fit."
    smaller = "a smaller --augment.size, or another --backbone.name"
    ways = [*_ways(config, parts if fits else 2), smaller] if fits or parts == 1 else [smaller]
    raise TrainingError(f"{text} Give {', or '.join(ways)}.")


def _ways(config: PretrainConfig, parts: int) -> list[str]:
    """Return the flags with which a batch has so many parts, or is so much smaller."""
    size, accumulate = config.data.batch_size // parts, config.optim.accumulate * parts
    found = []
    with suppress(ConfigError):
        replace(config, optim=replace(config.optim, accumulate=accumulate))
        found.append(f"--optim.accumulate {accumulate}, which trains the same batch in parts")
    with suppress(ConfigError):
        replace(config, data=replace(config.data, batch_size=size))
        found.append(f"--batch-size {size}")
    return found


def _fits(num: int, attempt: Callable[[int], Tensor], device: torch.device) -> bool:
    """Try the forward and backward passes of ``num`` pairs."""
    if device.type == "cuda":
        torch.cuda.empty_cache()  # pieces of the larger batch may be too small for this one
    try:
        attempt(num).backward()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return False
    return True
