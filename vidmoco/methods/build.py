"""From settings to a method."""

from typing import Any

import numpy as np
from torch import nn

from vidmoco.config.methods import (
    EndToEndConfig,
    FastMoCoConfig,
    MethodConfig,
    MoCoConfig,
    MoCoV3Config,
    SimCLRConfig,
)
from vidmoco.methods.fast_moco import FastMoCo, build_fast_moco
from vidmoco.methods.memory_bank import MemoryBank, build_memory_bank
from vidmoco.methods.moco import MoCo, build_moco
from vidmoco.methods.moco_v3 import MoCoV3, build_moco_v3
from vidmoco.methods.simclr import EndToEnd, SimCLR, build_end_to_end, build_simclr
from vidmoco.shapes import Float64

Method = MoCo | MoCoV3 | FastMoCo | SimCLR | EndToEnd | MemoryBank


def projector_of(method: Method) -> nn.Module:
    """Return the head of the encoder that trains: the method compares its outputs."""
    encoder: Any = method.encoder_q if hasattr(method, "encoder_q") else method.encoder
    return encoder[1]  # type: ignore[no-any-return]


def build_method(
    config: MethodConfig,
    *,
    backbone: nn.Module,
    num_features: int,
    durations: Float64[np.ndarray, " videos"],
    large_views: int = 2,
    seed: int,
) -> Method:
    """Return the method that ``config`` describes on ``backbone``, whose features have D numbers.

    ``durations`` are those of the videos, in seconds; ``large_views`` is the number of such views;
    ``seed`` is that of the random numbers which the method draws while it trains.
    """
    built: dict[str, Any] = {"backbone": backbone, "num_features": num_features}
    if isinstance(config, MoCoConfig):
        return build_moco(config, large_views=large_views, seed=seed, **built)
    if isinstance(config, MoCoV3Config):
        return build_moco_v3(config, **built)
    if isinstance(config, FastMoCoConfig):
        return build_fast_moco(config, large_views=large_views, seed=seed, **built)
    if isinstance(config, SimCLRConfig):
        return build_simclr(config, **built)
    if isinstance(config, EndToEndConfig):
        return build_end_to_end(config, seed=seed, **built)
    return build_memory_bank(config, durations=durations, seed=seed, **built)
