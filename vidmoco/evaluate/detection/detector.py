"""Faster R-CNN around a timm ResNet: torchvision's parts, assembled as by MoCo's authors.

The stages of the backbone are used unchanged, so the detector has exactly its weights.

    c4    conv1 … layer3 ─▶ RPN ─▶ RoIAlign 14 x 14 ─▶ layer4, batch norm, mean ─▶ classes, boxes
    fpn   conv1 … layer4 ─▶ pyramid (with batch norm) ─▶ RPN ─▶ RoIAlign 7 x 7 ─▶ two layers ─▶ …

NOTE: torchvision differs from detectron2, which the papers used, in some points that are left as
they are: anchors are rounded to pixels; the loss of the RPN's boxes is quadratic below 1/9; batches
mix aspect ratios; the pooling of ``fpn`` has no half-pixel centres (that of ``c4`` has). The
authors' synchronised batch norm weighs processes equally, torch's weighs boxes equally.
"""

from collections import OrderedDict
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FasterRCNN, FastRCNNPredictor
from torchvision.ops import roi_align
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from vidmoco import distributed
from vidmoco.backbones.preprocess import Preprocess
from vidmoco.errors import ConfigError
from vidmoco.methods.normalization import sync_batch_norm

_STAGES = ("layer1", "layer2", "layer3", "layer4")
_STRIDES = (4, 8, 16, 32)
_CHILDREN = {"conv1", "bn1", "act1", "maxpool", *_STAGES, "global_pool", "fc"}
# detectron2's defaults, Base-RCNN-FPN.yaml and Base-RCNN-C4-BN.yaml: proposals before non-maximum
# suppression in training and in evaluation, and after it in training.
_RPN = {"c4": (12000, 6000, 2000), "fpn": (2000, 1000, 1000)}
_ANCHOR_SIDES = (32, 64, 128, 256, 512)
_ASPECT_RATIOS = (0.5, 1.0, 2.0)
_PYRAMID_CHANNELS = 256
_C4_POOLED = 14


def build_detector(
    backbone: nn.Module,
    *,
    name: str,
    kind: Literal["c4", "fpn"],
    num_classes: int,
    preprocess: Preprocess,
    short_sides: tuple[int, ...],
    max_side: int,
    rois_per_image: int,
    proposals: int,
    new_norms: bool,
) -> nn.Module:
    """Return a Faster R-CNN around the modules of ``backbone``, all of which are trained.

    It is called as torchvision's: with lists of float images (3, H, W) from 0 to 1 and of targets.

    Args:
        backbone: A timm ResNet.
        name: of the backbone, for errors.
        kind: ``c4`` or ``fpn``.
        num_classes: number of classes without background.
        preprocess: gives mean and standard deviation of the images.
        short_sides: in pixels. One is drawn for each training image; evaluation uses the last.
        max_side: limit of the long side in pixels.
        rois_per_image: boxes per image on which the head is trained.
        proposals: boxes per image that the head scores in evaluation.
        new_norms: add batch norms to the new layers: after layer4 (MoCo, appendix), and in the
            pyramid (MoCo, section 4.2).

    Raises:
        ConfigError: the backbone is not a ResNet, or its stride is not 32.
    """
    _require_resnet(backbone, name)
    backbone.requires_grad_(True)
    before_train, before_val, after_train = _RPN[kind]
    channels = [stage["num_chs"] for stage in backbone.feature_info[1:]]  # type: ignore[index]
    options: dict[str, Any] = {
        "min_size": short_sides,
        "max_size": max_side,
        "image_mean": list(preprocess.mean),
        "image_std": list(preprocess.std),
        "rpn_pre_nms_top_n_train": before_train,
        "rpn_pre_nms_top_n_test": before_val,
        "rpn_post_nms_top_n_train": after_train,
        "rpn_post_nms_top_n_test": proposals,
        "box_batch_size_per_image": rois_per_image,
    }
    if kind == "fpn":
        body: Any = BackboneWithFPN(
            backbone,
            {stage: str(number) for number, stage in enumerate(_STAGES)},
            channels,
            _PYRAMID_CHANNELS,
            extra_blocks=LastLevelMaxPool(),
            norm_layer=nn.BatchNorm2d if new_norms else None,
        )
        model: Any = FasterRCNN(body, num_classes + 1, **options)
    else:
        body = IntermediateLayerGetter(backbone, {"layer3": "0"})
        body.out_channels = channels[2]
        model = FasterRCNN(
            body,
            rpn_anchor_generator=AnchorGenerator((_ANCHOR_SIDES,), (_ASPECT_RATIOS,)),
            box_head=_c4_head(backbone, channels[3], new_norm=new_norms),
            box_predictor=FastRCNNPredictor(channels[3], num_classes + 1),
            **options,
        )
        model.roi_heads.box_roi_pool = _PoolC4()
    for part in (model.rpn.head, model.roi_heads.box_predictor):
        part.register_forward_hook(_to_float32)
    return model  # type: ignore[no-any-return]


def prepare_norms(model: nn.Module, norm: Literal["synced", "local", "frozen"]) -> nn.Module:
    """Synchronise or freeze the batch norms, as ``norm`` says. The model is on its device.

    Raises:
        ConfigError: ``synced`` for several processes on CPUs, where torch cannot synchronise batch
            norms over batches of different sizes.
    """
    if norm == "frozen":
        for module in batch_norms(model):
            module.requires_grad_(False)
    if norm != "synced" or distributed.world_size() == 1:
        return model
    if not next(model.parameters()).is_cuda:
        raise ConfigError(
            "--norm is synced, which several processes on CPUs do not support. Give --norm local "
            "or frozen, or train in one process."
        )
    return sync_batch_norm(model)


def set_training(model: nn.Module, *, frozen_norms: bool) -> None:
    """Set training mode; frozen batch norms keep their statistics."""
    model.train()
    if frozen_norms:
        for module in batch_norms(model):
            module.eval()


def batch_norms(model: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """Return all batch norms."""
    kind = nn.modules.batchnorm._BatchNorm
    return [module for module in model.modules() if isinstance(module, kind)]


class _PoolC4(nn.Module):
    """RoIAlign with half-pixel centres, which torchvision's own pooling module lacks."""

    def forward(
        self, features: dict[str, Tensor], boxes: list[Tensor], image_sizes: list[tuple[int, int]]
    ) -> Tensor:
        """Return (boxes of all images, C, 14, 14)."""
        pooled: Tensor = roi_align(
            features["0"],
            boxes,
            output_size=_C4_POOLED,
            spatial_scale=1 / _STRIDES[2],
            sampling_ratio=0,
            aligned=True,
        )
        return pooled


def _c4_head(backbone: Any, channels: int, *, new_norm: bool) -> nn.Module:
    """Return layer4 as box head: (M, C, 14, 14) to (M, 2 C)."""
    parts: list[tuple[str, nn.Module]] = [("layer4", backbone.layer4)]
    if new_norm:
        parts.append(("norm", nn.BatchNorm2d(channels)))
    parts += [("pool", nn.AdaptiveAvgPool2d(1)), ("flatten", nn.Flatten())]
    return nn.Sequential(OrderedDict(parts))


def _to_float32(_module: nn.Module, _given: Any, output: Any) -> Any:
    """Return outputs as float32: the 8 bits of bf16 are too few for the position of a box."""
    if isinstance(output, Tensor):
        return output.float()
    return type(output)(_to_float32(_module, _given, part) for part in output)


def _require_resnet(backbone: nn.Module, name: str) -> None:
    children = {child for child, _ in backbone.named_children()}
    if children - _CHILDREN or not _CHILDREN - {"fc", "global_pool"} <= children:
        raise ConfigError(
            f"--backbone {name} is a {type(backbone).__name__}; expected a timm ResNet (resnet18, "
            "resnet34, resnet50 …)."
        )
    stages = IntermediateLayerGetter(backbone, {stage: stage for stage in _STAGES})
    with torch.no_grad():
        maps = stages.eval()(torch.zeros(1, 3, 64, 64))
    strides = tuple(64 // features.shape[-1] for features in maps.values())
    if strides != _STRIDES:
        raise ConfigError(
            f"--backbone {name} has stages of strides {', '.join(map(str, strides))}, as for tiny "
            f"images; a detector needs {', '.join(map(str, _STRIDES))}."
        )
