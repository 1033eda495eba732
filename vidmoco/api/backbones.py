"""The way back from a loop of one's own: its network as a folder."""

import copy
from pathlib import Path

import torch
from torch import nn

import vidmoco
from vidmoco.api.embed import PathLike
from vidmoco.backbones import build
from vidmoco.backbones.feature_shape import require_features
from vidmoco.backbones.folder import holds_only_a_backbone
from vidmoco.backbones.folder_config import MAX_SIDE
from vidmoco.backbones.preprocess import require_three_channels
from vidmoco.backbones.trial import fault_when_saved
from vidmoco.config.plain import checked
from vidmoco.errors import ConfigError
from vidmoco.text import first_of
from vidmoco.train.metrics import require_finite_weights


@torch.no_grad()
def save_backbone(backbone: nn.Module, folder: PathLike, *, size: int) -> Path:
    """Write a backbone as a folder, which is taken wherever a backbone is named.

        vidmoco.save_backbone(method.backbone, "kitchen", size=64)
        features, times = vidmoco.embed("clip.mp4", backbone="kitchen")

    The folder is as a run's: timm loads it by ``local-dir:kitchen``. It states the preprocessing of
    our views: ``size`` pixels, bilinear, a centre crop of 7/8, ImageNet's mean and deviation.

    Args:
        backbone: A timm model with ``num_classes=0``, on any device and in any mode, such as
            ``method.backbone`` of every method. It does not change; float32 is written.
        folder: It is made. A folder of another backbone is replaced, other files are not.
        size: Side of its inputs in pixels: that of the views it was trained on.

    Returns:
        The folder.

    Raises:
        ConfigError: It is no such model, cannot be loaded again, or cannot be written there.
        TrainingError: Weights are not finite.
    """
    _require_network(backbone)
    given = checked(save_backbone, folder=folder, size=size)
    path, size = Path(given["folder"]).expanduser(), given["size"]
    if not 1 <= size <= MAX_SIDE:
        raise ConfigError(f"size is {size}; expected pixels, 1 to {MAX_SIDE:,}.")
    _require_replaceable(path)
    require_finite_weights(backbone)
    plain = copy.deepcopy(backbone).cpu().float()
    _require_size(plain, size)
    if fault := fault_when_saved(plain, input_size=size):
        raise ConfigError(
            f"Nothing is written to {path}: {fault} The folder names timm's network, which is then "
            "built without your changes. Keep the weights by torch.save(backbone.state_dict(), …)."
        )
    provenance = {"vidmoco_version": vidmoco.__version__}
    build.save_backbone(
        plain,
        path.absolute(),
        input_size=size,
        provenance=provenance,
        advice=", or name another folder.",
    )
    return path


def _require_size(backbone: nn.Module, size: int) -> None:
    """Refuse a size that the network does not take."""
    require_three_channels(backbone, name="This network")
    try:
        features = backbone.eval()(torch.zeros(2, 3, size, size))
    except (RuntimeError, AssertionError, ValueError) as error:
        own = getattr(backbone, "pretrained_cfg", {}).get("input_size", (3, 224, 224))[-1]
        raise ConfigError(
            f"size is {size}, and this network does not take images of 3 x {size} x {size}: "
            f"{' '.join(str(error).split())} "
            f"Give the size of its training, such as {own}, or make it for another one: "
            f"timm.create_model(NAME, img_size={size}, num_classes=0), where NAME has that."
        ) from error
    require_features(backbone, features, name="This network")


def _require_network(backbone: nn.Module) -> None:
    """Refuse what is no timm model of features."""
    stock = getattr(backbone, "pretrained_cfg", None)
    if not isinstance(backbone, nn.Module) or not stock or "architecture" not in dict(stock):
        raise ConfigError(
            f"The backbone is of type {type(backbone).__name__}; expected a model of "
            "timm.create_model(NAME, num_classes=0), such as method.backbone."
        )
    if classes := getattr(backbone, "num_classes", 0):
        raise ConfigError(
            f"The backbone has a classifier of {classes} classes, and a folder holds one without: "
            "give timm.create_model num_classes=0, or call backbone.reset_classifier(0)."
        )


def _require_replaceable(folder: Path) -> None:
    """Refuse a place where other files than a backbone would be deleted."""
    if folder.is_dir() and (names := sorted(path.name for path in folder.iterdir())):
        if not holds_only_a_backbone(folder):
            raise ConfigError(
                f"{folder} already exists, and holds other files than a backbone: "
                f"{first_of(names)}. Name another folder."
            )
    elif folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file, and a backbone is a folder. Name a folder.")
