"""Try, before a training, what it does with its backbone when it ends: save it, and load it."""

import copy
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vidmoco.backbones.build import load_backbone, save_backbone
from vidmoco.errors import ConfigError


def require_savable(backbone: nn.Module, *, name: str, input_size: int) -> None:
    """Refuse a training whose backbone could not be used afterwards.

    Args:
        backbone: of a training that is about to begin; it does not change.
        name: what errors call it.
        input_size: side of its inputs in pixels.

    Raises:
        ConfigError: it cannot be saved or loaded, its features are not finite, or are others
            afterwards.
    """
    if fault := fault_when_saved(backbone, input_size=input_size):
        raise ConfigError(
            f"A training of {name} would end in vain: {fault} Give another --backbone.name."
        )


@torch.no_grad()
def fault_when_saved(backbone: nn.Module, *, input_size: int) -> str:
    """Save a backbone to a temporary folder, load it, and compare the features.

    Args:
        backbone: it does not change.
        input_size: side of its inputs in pixels.

    Returns:
        A sentence on what is wrong, or an empty string.
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
        if not torch.isfinite(expected).all():
            return "the backbone gives features that are not finite, for images of noise."
        same = torch.allclose(loaded(images), expected, rtol=1e-3, atol=1e-4)
    except Exception as error:  # of timm, safetensors and the network, of many kinds
        return f"the backbone cannot be saved and loaded again ({error})."
    return "" if same else "saved and loaded again, the backbone gives other features."
