"""``vidmoco export --to``: a backbone as a file of another tool, checked before it is written."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import resnet as torchvision_resnet
from torchvision.models import vision_transformer

from vidmoco.backbone_folder import backbone_folder
from vidmoco.backbones import architecture_of, heads_of, load_backbone
from vidmoco.commands import ExportCommand
from vidmoco.errors import ConfigError
from vidmoco.preprocess import preprocess_of
from vidmoco.published.key_names import torchvision_names

# Of features of order one, in float32: another order of additions; ONNX Runtime's kernels.
_TOLERANCE = 1e-3


def export_file(command: ExportCommand) -> Path:
    """Write the file; return its path.

    Raises:
        ConfigError: the other tool has no such network, or the file is there.
        CheckpointError: there is no backbone to export.
    """
    source, output = command.run, command.output
    assert output is not None  # ExportCommand requires it
    folder = backbone_folder(source)
    if folder is None:
        raise ConfigError(f"No such run or backbone folder: {source}.")
    if output.exists() and not command.overwrite:
        raise ConfigError(f"{output} is there already. Add --overwrite, or name another file.")
    if not output.parent.is_dir():
        raise ConfigError(f"There is no folder {output.parent} to write {output.name} into.")
    backbone, name = load_backbone(folder), architecture_of(folder)
    size = preprocess_of(backbone).size
    part = output.with_name(f".{output.name}.part")
    try:
        _WRITERS[command.to](backbone, name, size, part)
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)
    return output


def _write_torchvision(backbone: nn.Module, name: str, size: int, path: Path) -> None:
    """Write a state dict for torchvision's model, whose last layer is ``nn.Identity``."""
    names = torchvision_names(backbone.state_dict())
    weights = {names[key]: tensor for key, tensor in backbone.state_dict().items()}
    model = _torchvision_model(backbone, name, size)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise ConfigError(
            f"torchvision has no network like {name}: {str(error).splitlines()[-1].strip()}"
        ) from error
    _require_alike(backbone, model.eval(), size=size, what="torchvision's model")
    torch.save(weights, path)


def _torchvision_model(backbone: Any, name: str, size: int) -> Any:
    if hasattr(backbone, "blocks"):
        model: Any = vision_transformer.VisionTransformer(
            image_size=size,
            patch_size=backbone.patch_embed.patch_size[0],
            num_layers=len(backbone.blocks),
            num_heads=heads_of(backbone),
            hidden_dim=backbone.embed_dim,
            mlp_dim=backbone.blocks[0].mlp.fc1.out_features,
        )
        model.heads = nn.Identity()
        return model
    model = _torchvision_resnet(name, "torchvision has no network like it")()
    model.fc = nn.Identity()
    return model


def _torchvision_resnet(name: str, why: str) -> Callable[[], Any]:
    build: Callable[[], Any] | None = getattr(torchvision_resnet, name, None)
    if build is None or not name.startswith(("resnet", "wide_resnet", "resnext")):
        raise ConfigError(
            f"{name} cannot be written so: {why}. --to onnx takes every backbone, and timm loads "
            "the folder as it is."
        )
    return build


def _write_moco(backbone: nn.Module, name: str, size: int, path: Path) -> None:
    _torchvision_resnet(name, "the authors' programs build torchvision's ResNets")
    _write_checkpoint(backbone, name, path, prefix="module.encoder_q.")


def _write_moco_v3(backbone: nn.Module, name: str, size: int, path: Path) -> None:
    heads = heads_of(backbone)
    if heads and heads != 12:  # of both their transformers
        raise ConfigError(
            f"The authors' programs build transformers of 12 heads, and {name} has {heads}: the "
            "weights would load there, and their features would be nonsense. --to onnx takes it."
        )
    if not heads:
        _torchvision_resnet(name, "the authors' programs build torchvision's ResNets")
    _write_checkpoint(backbone, name, path, prefix="module.base_encoder.")


def _write_checkpoint(backbone: nn.Module, name: str, path: Path, *, prefix: str) -> None:
    """Write what the authors' programs look for: the state dict of an encoder without its head."""
    state = {prefix + key: tensor for key, tensor in backbone.state_dict().items()}
    torch.save({"arch": name, "state_dict": state}, path)


def _write_onnx(backbone: nn.Module, name: str, size: int, path: Path) -> None:
    """Write the network from normalised images (N, 3, S, S) to features (N, D), any N."""
    try:
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"--to onnx needs {error.name}. Install it with: pip install 'vidmoco[onnx]'"
        ) from error
    images = torch.zeros(2, 3, size, size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's, about itself
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

    _require_alike(backbone, run, size=size, what="ONNX Runtime")


def _require_alike(
    backbone: Callable[[Tensor], Tensor],
    other: Callable[[Tensor], Tensor],
    *,
    size: int,
    what: str,
) -> None:
    """Compare both networks on three images of noise."""
    images = torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, found = backbone(images), other(images)
    distance = float((expected - found).abs().max() / expected.abs().max().clamp(min=1))
    if not distance <= _TOLERANCE:
        raise ConfigError(
            f"{what} gives other features than this backbone ({distance:.2g} apart): the two are "
            "not the same network, and nothing was written."
        )


_WRITERS = {
    "torchvision": _write_torchvision,
    "moco": _write_moco,
    "moco_v3": _write_moco_v3,
    "onnx": _write_onnx,
}
