"""Load a folder of weights without the weights that parts of its network would download."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from timm.models import _builder


@contextmanager
def only_own_weights() -> Iterator[None]:
    """Let timm load the weights of a folder, and no others, in the block.

    timm builds a hybrid of ResNet and transformer (``vit_small_resnet26d_224``) from a ResNet, for
    which it downloads weights, also where the folder replaces all of them at once.
    """
    load = _builder.load_pretrained

    def load_if_own(model: Any, pretrained_cfg: Any = None, **options: Any) -> None:
        about = dict(pretrained_cfg or model.pretrained_cfg)
        if about.get("source") == "local-dir" or about.get("file") or about.get("state_dict"):
            load(model, pretrained_cfg=pretrained_cfg, **options)

    with patch.object(_builder, "load_pretrained", load_if_own):
        yield
