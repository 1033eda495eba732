"""Build a method from its settings."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from vidmoco.backbones.feature_shape import num_features_of
from vidmoco.config.method_settings import MethodSettings
from vidmoco.config.methods import (
    EndToEndConfig,
    FastMoCoConfig,
    MemoryBankConfig,
    MoCoConfig,
    MoCoV3Config,
    SimCLRConfig,
)
from vidmoco.errors import ConfigError
from vidmoco.methods.fast_moco import FastMoCo
from vidmoco.methods.memory_bank import MemoryBank, count_instances
from vidmoco.methods.moco import MoCo
from vidmoco.methods.moco_v3 import MoCoV3
from vidmoco.methods.protocol import Inputs, Method
from vidmoco.methods.simclr import EndToEnd, SimCLR
from vidmoco.shapes import Float64

METHODS: dict[type, Callable[..., Method]] = {
    MoCoConfig: MoCo,
    MoCoV3Config: MoCoV3,
    FastMoCoConfig: FastMoCo,
    SimCLRConfig: SimCLR,
    EndToEndConfig: EndToEnd,
    MemoryBankConfig: MemoryBank,
}


def build_method(config: MethodSettings, backbone: nn.Module, inputs: Inputs) -> Method:
    """Return the method that ``config`` describes, on a backbone of (N, 3, H, W) to (N, D).

    Raises:
        ConfigError: ``inputs`` leave D out, and the backbone does not say it either.
    """
    if not inputs.num_features:
        if not hasattr(backbone, "num_features"):
            raise ConfigError(
                f"A backbone of type {type(backbone).__name__} does not say how long its features "
                "are. Give Inputs(num_features=D)."
            )
        inputs = replace(inputs, num_features=num_features_of(backbone))
    settings = {name: value for name, value in vars(config).items() if name != "name"}
    return METHODS[type(config)](backbone, inputs, **settings)


def require_compiler(device: torch.device) -> None:
    """Compile a function of one line.

    Raises:
        ConfigError: torch cannot compile here, for example without a C++ compiler.
    """
    try:
        torch.compile(lambda x: x * 2 + 1)(torch.ones(3, device=device))
    except (RuntimeError, OSError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ConfigError(
            f"--engine.compile cannot be used here: {reason[0]}. Install a C++ compiler (g++), or "
            "leave it out."
        ) from error


def compile_encoders(method: nn.Module, *, cuda_graphs: bool) -> None:
    """Compile the encoders of a method with torch.compile, at their first call."""
    for name, part in method.named_children():
        if name.startswith("encoder"):
            part.compile(mode="reduce-overhead" if cuda_graphs else "default")


def require_memory(
    config: MethodSettings,
    *,
    durations: Float64[np.ndarray, " videos"],
    num_queries: int,
    available: int,
    where: str,
) -> None:
    """Check that stored and drawn embeddings fit into memory.

    Args:
        config: settings of the method.
        durations: durations of all videos, in seconds.
        num_queries: queries per step and process.
        available: bytes of memory.
        where: the device that has this memory.

    Raises:
        ConfigError: they do not fit. The message says what needs how much, and what to change.
    """
    parts: list[tuple[str, int, str]] = []
    if isinstance(config, MoCoConfig):
        parts = [("queue", config.queue_size, "a smaller --method.queue-size")]
    elif isinstance(config, MemoryBankConfig):
        instances = int(count_instances(durations, seconds=config.instance_seconds).sum())
        parts = [("memory bank", instances, "more --method.instance-seconds")]
        if config.loss != "softmax":
            drawn = config.num_negatives * (num_queries if config.loss == "nce" else 1)
            parts.append(("draw of negatives", drawn, "fewer --method.num-negatives"))
    for what, rows, remedy in parts:
        needed = rows * config.dim * 4
        if needed > available:
            raise ConfigError(
                f"The {what} of {rows:,} embeddings of dimension {config.dim} needs "
                f"{needed / 2**30:,.3g} GiB, but {where} has {available / 2**30:,.3g} GiB. Give "
                f"{remedy} or a smaller --method.dim."
            )
