"""A frozen backbone of any module."""

import torch

from vidmoco.backbones.frozen import FrozenBackbone


def freeze(backbone, preprocess, *, dim, precision="fp32", device="cpu"):
    frozen = FrozenBackbone(
        name="b",
        source="b",
        architecture="test",
        backbone=backbone,
        preprocess=preprocess,
        dim=dim,
        weights_hash="0" * 16,
        precision=precision,
    )
    frozen.move_to(torch.device(device))
    return frozen
