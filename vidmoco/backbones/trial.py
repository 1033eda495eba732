"""Try with an untrained backbone what a training does with the trained one when it ends."""

import copy
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vidmoco.backbones.build import load_backbone, save_backbone
from vidmoco.errors import ConfigError


@torch.no_grad()
def require_savable(backbone: nn.Module, *, name: str, input_size: int) -> None:
    """Save a backbone to a temporary folder, load it, and compare the features.

    Args:
        backbone: of a training that is about to begin; it does not change.
        name: what errors call it.
        input_size: side of its inputs in pixels.

    Raises:
        ConfigError: it cannot be saved or loaded, or gives other features afterwards.
    """
    ours = copy.deepcopy(backbone).cpu().eval()
    images = torch.randn(
        2, 3, input_size, input_size, generator=torch.Generator().manual_seed(0)
    ).to(next((p.dtype for p in ours.parameters()), torch.float32))
    try:
        with tempfile.TemporaryDirectory(prefix="vidmoco-") as place, torch.random.fork_rng([]):
            folder = Path(place) / "backbone"
            save_backbone(ours, folder, input_size=input_size, provenance={})
            loaded = load_backbone(folder)
        expected: Any = ours(images)
        same = torch.allclose(loaded(images), expected, rtol=1e-3, atol=1e-4)
    except Exception as error:  # of timm, safetensors and the network, of many kinds
        raise ConfigError(
            f"A training of {name} would end in vain: its backbone cannot be saved and loaded "
            f"again ({error}). Give another --backbone.name."
        ) from error
    if not same:
        raise ConfigError(
            f"A training of {name} would end in vain: saved and loaded again, its backbone gives "
            "other features. Give another --backbone.name."
        )
