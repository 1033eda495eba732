"""From settings to the method that a run trains: backbone, heads, batch norms, compilation."""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from vidmoco import distributed
from vidmoco.backbones.build import build_backbone, num_features_of, strided_at_one_pixel
from vidmoco.config.methods import (
    EndToEndConfig,
    FastMoCoConfig,
    MemoryBankConfig,
    MethodConfig,
    MoCoConfig,
)
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.device import memory_of
from vidmoco.errors import ConfigError, is_hunger
from vidmoco.methods.build import Method, build_method
from vidmoco.methods.memory_bank import count_instances
from vidmoco.methods.normalization import sync_batch_norm
from vidmoco.shapes import Float64

MANY_OF_ONE_VIDEO = 2  # assumption: keys in the queue, of thousands, that are worth a word


def assemble_method(
    config: PretrainConfig, *, device: torch.device, durations: Float64[np.ndarray, " videos"]
) -> Method:
    """Return the method of a run on its backbone, ready to train, on the CPU or on ``device``.

    ``durations`` are those of all videos, in seconds.

    Raises:
        ConfigError: backbone, views, method and processes do not go together.
    """
    processes = distributed.world_size()
    if config.data.batch_size % processes:
        raise ConfigError(
            f"--data.batch-size is {config.data.batch_size}, which {processes} processes cannot "
            "share; it must be a multiple of their number."
        )
    _require_memory(config, durations, device)
    size, other_sizes = config.augment.size, []
    if isinstance(config.method, FastMoCoConfig):
        other_sizes.append(size // config.method.divide)
    if config.augment.small_crops:
        other_sizes.append(config.augment.small_size)
    backbone = build_backbone(
        config.backbone.name,
        size=size,
        other_sizes=other_sizes,
        pretrained=config.backbone.pretrained,
        zero_init_residual=config.backbone.zero_init_residual,
        freeze_patches=config.backbone.freeze_patches,
    )
    if device.type == "cpu" and config.engine.precision == "bf16":
        for small in (size, *other_sizes):
            if layer := strided_at_one_pixel(backbone, small):
                raise ConfigError(
                    f"Views or patches of {small} px are one pixel before the last stride of "
                    f"{config.backbone.name} ({layer}), where a CPU's gradients in bf16 are wrong. "
                    f"Make them {2 * small} px, or give --engine.precision fp32."
                )
    try:
        method = build_method(
            _share_of(config),
            backbone=backbone,
            num_features=num_features_of(backbone),
            durations=durations,
            large_views=config.augment.large_views,
            seed=config.seed,
        )
    except (RuntimeError, MemoryError) as error:
        if not is_hunger(error):
            raise
        raise ConfigError(
            f"The heads of {config.method.name} do not fit into memory: --method.dim is "
            f"{config.method.dim}. Give less of it, or of the other widths of --method."
        ) from error
    if getattr(method, "SYNC_BATCH_NORM", False):
        sync_batch_norm(method.to(device))
    if config.engine.channels_last:
        method.to(memory_format=torch.channels_last)
    return method.train()


def _require_memory(
    config: PretrainConfig, durations: Float64[np.ndarray, " videos"], device: torch.device
) -> None:
    """Refuse embeddings, kept or drawn, that do not fit into the device's memory."""
    method = config.method
    parts: list[tuple[str, int, str]] = []
    if isinstance(method, MoCoConfig):
        parts = [("queue", method.queue_size, "a smaller --method.queue-size")]
    elif isinstance(method, MemoryBankConfig):
        instances = int(count_instances(method, durations).sum())
        parts = [("memory bank", instances, "more --method.instance-seconds")]
        if method.loss != "softmax":
            queries = config.data.batch_size // distributed.world_size()
            drawn = method.num_negatives * (queries if method.loss == "nce" else 1)
            parts.append(("draw of negatives", drawn, "fewer --method.num-negatives"))
    for what, rows, less in parts:
        needed, there = rows * method.dim * 4, memory_of(device)
        if needed > there:
            raise ConfigError(
                f"The {what} of {rows:,} embeddings of {method.dim} numbers takes "
                f"{needed / 2**30:,.3g} GiB, and {device} has {there / 2**30:,.3g}. Give {less} or "
                "a smaller --method.dim."
            )


def _share_of(config: PretrainConfig) -> MethodConfig:
    """Return the settings of the method with this process's share of the parts of batch norms."""
    processes, method = distributed.world_size(), config.method
    splits = 1
    if isinstance(method, MoCoConfig | EndToEndConfig):
        if max(method.bn_splits, processes) % min(method.bn_splits, processes):
            raise ConfigError(
                f"--method.bn-splits is {method.bn_splits}, which {processes} processes cannot "
                f"share. Give 1 or {processes}."
            )
        splits = max(1, method.bn_splits // processes)
        method = replace(method, bn_splits=splits)
    pairs, parts = config.data.batch_size // processes, config.optim.accumulate * splits
    if pairs % parts or pairs // parts < 2:
        raise ConfigError(
            f"--data.batch-size is {config.data.batch_size}, {pairs} for each of {processes} "
            f"processes, and each cuts its share into {parts}; that must leave at least 2 pairs in "
            "equal parts. Give a larger batch, or less --optim.accumulate."
        )
    return method


def compile_encoders(method: nn.Module, *, cuda_graphs: bool) -> None:
    """Have torch.compile compile the encoders of a method, at their first call."""
    for name, module in method.named_children():
        if name.startswith("encoder"):
            module.compile(mode="reduce-overhead" if cuda_graphs else "default")


def warning_of_queue(config: PretrainConfig, num_videos: int) -> str:
    """Return in words that a queue holds many keys of each video; empty: it does not."""
    method = config.method
    if not isinstance(method, MoCoConfig) or method.same_video != "negative":
        return ""
    own = method.queue_size / num_videos
    if own <= MANY_OF_ONE_VIDEO:
        return ""
    return (
        f"The queue holds {method.queue_size:,} keys of {num_videos:,} videos, so about {own:.3g} "
        "of a query's negatives are of its own video. Think of --method.same-video masked, or of "
        "a smaller --method.queue-size."
    )
