"""Build the method of a run from its settings: backbone, heads, batch norms."""

from collections.abc import Callable

import numpy as np
import torch

from vidmoco import distributed
from vidmoco.backbones.build import build_backbone, strided_at_one_pixel
from vidmoco.config.method_settings import MethodSettings
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.device import memory_of, training_precision, use_channels_last
from vidmoco.errors import ConfigError, is_out_of_memory
from vidmoco.methods.build import build_method, require_memory
from vidmoco.methods.normalization import sync_batch_norm
from vidmoco.methods.protocol import Inputs, Method
from vidmoco.shapes import Float64


def assemble_method(
    config: PretrainConfig,
    *,
    device: torch.device,
    durations: Float64[np.ndarray, " videos"],
    tell: Callable[[str], None] = lambda line: None,
) -> Method:
    """Return the method of a run with its backbone, ready to train, on the CPU or on ``device``.

    ``durations`` are the durations of all videos in seconds. ``tell`` takes a line for the user.

    Raises:
        ConfigError: backbone, views, method and processes cannot be combined.
    """
    processes = distributed.world_size()
    if config.data.batch_size % processes:
        raise ConfigError(
            f"--data.batch-size is {config.data.batch_size}, which is not a multiple of the number "
            f"of processes, {processes}. Give a multiple."
        )
    require_memory(
        config.method,
        durations=durations,
        num_queries=config.data.batch_size // processes,
        available=memory_of(device),
        where=str(device),
    )
    size, *other_sizes = config.method.view_sizes(config.augment.size)
    if config.augment.small_crops:
        other_sizes.append(config.augment.small_size)
    backbone = build_backbone(
        config.backbone.name,
        size=size,
        other_sizes=other_sizes,
        weights=config.backbone.start,
        zero_init_residual=config.backbone.zero_init_residual,
        freeze_patches=config.backbone.freeze_patches,
        tell=tell,
    )
    if device.type == "cpu" and training_precision(device, config.engine.precision) == "bf16":
        _require_more_than_a_pixel(config, backbone)
    try:
        method = build_method(
            _share_of(config),
            backbone,
            Inputs(
                large_views=config.augment.large_views,
                durations=durations,
                seed=config.seed,
            ),
        )
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise ConfigError(
            f"The heads of {config.method.name} do not fit into memory: --method.dim is "
            f"{config.method.dim}. Give a smaller one, or smaller other widths of --method."
        ) from error
    if method.syncs_batch_norm:
        sync_batch_norm(method.to(device))
    if config.engine.channels_last:
        use_channels_last(method)
    return method.train()


def _require_more_than_a_pixel(config: PretrainConfig, backbone: torch.nn.Module) -> None:
    """Refuse inputs that are one pixel before a stride.

    Raises:
        ConfigError: some are; the message names the flag and the value that is enough.
    """
    size, *patches = config.method.view_sizes(config.augment.size)
    inputs = [("Patches of views", side, "--augment.size", size // side) for side in patches]
    inputs.append(("Views", size, "--augment.size", 1))  # where there are patches, large enough
    if config.augment.small_crops:
        inputs.append(("Small crops", config.augment.small_size, "--augment.small-size", 1))
    for what, side, flag, parts in inputs:
        if not (layer := strided_at_one_pixel(backbone, side)):
            continue
        enough = 2 * side
        while strided_at_one_pixel(backbone, enough):
            enough *= 2
        raise ConfigError(
            f"{what} are {side} px, which is one pixel before the last stride of "
            f"{config.backbone.name} ({layer}), where a CPU's gradients in bf16 are wrong. Give "
            f"{flag} {enough * parts}, or --engine.precision fp32."
        )


def _share_of(config: PretrainConfig) -> MethodSettings:
    """Return the settings of the method for this process's share of the batch."""
    processes = distributed.world_size()
    method = config.method.share_of(processes)
    pairs, parts = config.data.batch_size // processes, config.optim.accumulate * method.num_parts
    if pairs % parts or pairs // parts < 2:
        raise ConfigError(
            f"--data.batch-size is {config.data.batch_size}, {pairs} for each of {processes} "
            f"processes. Each process splits its share into {parts} equal parts, which need at "
            "least 2 pairs each. Give a larger batch, or a smaller --optim.accumulate."
        )
    return method
