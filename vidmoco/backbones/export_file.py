"""``vidmoco export --to``: write a backbone as a file of another tool, after a check."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torchvision.models import resnet as torchvision_resnet
from torchvision.models import vision_transformer

from vidmoco.atomic_file import atomic_write
from vidmoco.backbones.build import (
    architecture_of,
    build_backbone,
    heads_of,
    load_backbone,
)
from vidmoco.backbones.feature_shape import num_features_of
from vidmoco.backbones.key_names import differences, torchvision_names
from vidmoco.backbones.preprocess import preprocess_of
from vidmoco.config.commands import ExportCommand
from vidmoco.errors import ConfigError

# For float32 features of order one. Kernels of other tools add in another order.
_TOLERANCE = 1e-3
# The transformers of MoCo v3's programs (vits.py, main_lincls.py) by width, and the image side
# that their positions are for.
_AUTHORS_TRANSFORMERS = {384: "vit_small", 768: "vit_base"}
_AUTHORS_SIZE = 224
_AUTHORS_RESNETS = "the authors' programs build torchvision's ResNets"
_OTHER_WAYS = "--to onnx takes every backbone, and timm loads the folder as it is."


def export_file(command: ExportCommand) -> Path:
    """Write the file; return its path.

    Raises:
        ConfigError: the other tool has no such network, or the file exists.
        CheckpointError: there is no backbone to export.
    """
    source, output = str(command.run), command.output
    assert output is not None  # ExportCommand requires it
    if output.is_dir():
        raise ConfigError(
            f"{output} is a folder, and --to {command.to} writes a file. Name a file."
        )
    if output.exists() and not command.overwrite:
        raise ConfigError(f"{output} already exists. Add --overwrite, or name another file.")
    if not output.parent.is_dir():
        raise ConfigError(f"There is no folder {output.parent} to write {output.name} into.")
    backbone = load_backbone(source)
    name = architecture_of(source).rpartition("/")[2].partition(".")[0]  # without the weights' tag
    size = preprocess_of(backbone).size
    with atomic_write(output) as part:
        _WRITERS[command.to](backbone, name, size, part)
    return output


def _write_torchvision(backbone: nn.Module, name: str, size: int, path: Path) -> None:
    """Write a state dict for torchvision's model with ``nn.Identity`` as last layer."""
    names = torchvision_names(backbone.state_dict())
    weights = {names[key]: tensor for key, tensor in backbone.state_dict().items()}
    model = _torchvision_model(backbone, name, size)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise ConfigError(
            f"torchvision has no network like {name}: {str(error).splitlines()[-1].strip()}"
        ) from error
    _require_same_features(backbone, model.eval(), size=size, what="torchvision's model")
    torch.save(weights, path)


def _torchvision_model(backbone: Any, name: str, size: int) -> Any:
    why = "torchvision has no network like it"
    if not heads_of(backbone):
        return _torchvision_resnet(name, why)
    try:
        model = vision_transformer.VisionTransformer(
            image_size=size,
            patch_size=backbone.patch_embed.patch_size[0],
            num_layers=len(backbone.blocks),
            num_heads=heads_of(backbone),
            hidden_dim=backbone.embed_dim,
            mlp_dim=backbone.blocks[0].mlp.fc1.out_features,
        )
    except (AttributeError, TypeError) as error:  # it has other parts
        raise ConfigError(f"{name} cannot be exported: {why}. {_OTHER_WAYS}") from error
    model.heads = nn.Identity()
    return model


def _torchvision_resnet(name: str, why: str) -> nn.Module:
    """Return torchvision's ResNet of a name without its classifier, or refuse it with ``why``."""
    build: Callable[[], Any] | None = getattr(torchvision_resnet, name, None)
    if build is None or not name.startswith(("resnet", "wide_resnet", "resnext")):
        raise ConfigError(f"{name} cannot be exported: {why}. {_OTHER_WAYS}")
    model = build()
    model.fc = nn.Identity()
    return cast(nn.Module, model)


def _write_moco(backbone: nn.Module, name: str, size: int, path: Path) -> None:
    authors = _torchvision_resnet(name, _AUTHORS_RESNETS)
    _write_checkpoint(backbone, name, path, authors, arch=name, prefix="module.encoder_q.")


def _write_moco_v3(backbone: nn.Module, name: str, size: int, path: Path) -> None:
    if heads_of(backbone):
        arch = _authors_transformer(backbone, name)
        authors = build_backbone(f"vidmoco_{arch}_moco_v3", size=_AUTHORS_SIZE)
    else:
        arch, authors = name, _torchvision_resnet(name, _AUTHORS_RESNETS)
    _write_checkpoint(backbone, name, path, authors, arch=arch, prefix="module.base_encoder.")


def _authors_transformer(backbone: nn.Module, name: str) -> str:
    """Return the authors' name of the transformer with the same heads and width."""
    heads, width = heads_of(backbone), num_features_of(backbone)
    if heads != 12:  # both of theirs have 12
        raise ConfigError(
            f"The authors' programs build transformers of 12 heads, and {name} has {heads}: the "
            "weights would load there, but their features would be nonsense. --to onnx takes it."
        )
    if width not in _AUTHORS_TRANSFORMERS:
        raise ConfigError(
            "The authors' programs build transformers of 384 or 768 features, and "
            f"{name} has {width}. --to onnx takes it."
        )
    return _AUTHORS_TRANSFORMERS[width]


def _write_checkpoint(
    backbone: nn.Module, name: str, path: Path, authors: nn.Module, *, arch: str, prefix: str
) -> None:
    """Write what the authors' programs load: the state dict of an encoder without its head."""
    state = backbone.state_dict()
    if wrong := differences(state, authors.state_dict()):
        raise ConfigError(
            f"The authors' programs cannot load {name}. It differs from their {arch}: "
            f"{wrong}nothing is written. --to onnx takes it."
        )
    authors.load_state_dict(state)
    what = f"the authors' {arch}"
    _require_same_features(backbone, authors.eval(), size=_AUTHORS_SIZE, what=what)
    prefixed = {prefix + key: tensor for key, tensor in state.items()}
    torch.save({"arch": arch, "state_dict": prefixed}, path)


def _write_onnx(backbone: nn.Module, name: str, size: int, path: Path) -> None:
    """Write the network: normalised images (N, 3, S, S) to features (N, D), for any N."""
    try:
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"--to onnx needs {error.name}. Install it with: pip install 'vidmoco[onnx]'"
        ) from error
    images = torch.zeros(2, 3, size, size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns about its own code
        torch.onnx.export(
            backbone,
            (images,),
            path,
            dynamo=True,
            external_data=False,
            verbose=False,
            input_names=["images"],
            output_names=["features"],
            dynamic_shapes=({0: torch.export.Dim("n")},),
        )
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(given: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {"images": given.numpy()})[0])

    _require_same_features(backbone, run, size=size, what="ONNX Runtime")


def _require_same_features(
    backbone: Callable[[Tensor], Tensor],
    other: Callable[[Tensor], Tensor],
    *,
    size: int,
    what: str,
) -> None:
    """Refuse if the networks give other features for three images of noise."""
    images = torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, found = backbone(images), other(images)
    distance = float((expected - found).abs().max() / expected.abs().max().clamp(min=1))
    if not distance <= _TOLERANCE:
        raise ConfigError(
            f"{what} gives other features than this backbone ({distance:.2g} apart): they are not "
            "the same network, so nothing is written."
        )


_WRITERS = {
    "torchvision": _write_torchvision,
    "moco": _write_moco,
    "moco_v3": _write_moco_v3,
    "onnx": _write_onnx,
}
