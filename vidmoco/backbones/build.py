"""Build, load and save backbones. No other module creates timm models."""

import copy
import hashlib
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled
from safetensors import SafetensorError
from timm.models import is_model, is_model_in_modules, save_for_hf
from torch import nn

from vidmoco.atomic_file import atomic_write
from vidmoco.augment.color import IMAGENET_MEAN, IMAGENET_STD
from vidmoco.backbones.folder import backbone_folder, check_folder
from vidmoco.backbones.moco_v3_vit import STOCK
from vidmoco.backbones.resnet_32px import CROP_PCT, RESNETS
from vidmoco.errors import CheckpointError, ConfigError, nearest

# The flags that set ``other_sizes``, for errors.
_OTHER_SIZE = "--augment.small-size (where Fast-MoCo divides views: --augment.size)"


def build_backbone(
    name: str,
    *,
    size: int,
    other_sizes: Iterable[int] = (),
    pretrained: bool = False,
    zero_init_residual: bool = False,
    freeze_patches: bool = False,
    num_heads: int | None = None,
    size_flag: str = "--augment.size",
) -> nn.Module:
    """Return the timm model ``name`` without classifier, for training on views of ``size`` pixels.

    Args:
        name: a timm name.
        size: side of the views in pixels.
        other_sizes: sides of other inputs in pixels: patches of views, small crops.
        pretrained: start from timm's weights.
        zero_init_residual: start each residual branch of a ResNet at zero.
        freeze_patches: do not train the patch embedding of a transformer.
        num_heads: attention heads of a transformer (``--heads``); None means the model's own.
        size_flag: the flag that sets ``size``, for errors.

    Raises:
        ConfigError: timm has no such model, or it cannot take a size or an option.
        CheckpointError: its pretrained weights cannot be downloaded.
    """
    _require_model(name)
    options: dict[str, Any] = {}
    if is_model_in_modules(name.partition(".")[0], ["resnet"]) or name in RESNETS:
        options["zero_init_last"] = zero_init_residual
    elif zero_init_residual:
        raise ConfigError(
            f"--backbone.zero-init-residual is for ResNets, and --backbone.name is {name!r}. "
            "Give --backbone.no-zero-init-residual, in case a recipe sets it."
        )
    if num_heads is not None:
        options["num_heads"] = num_heads
    sizes = [size, *other_sizes]
    known = timm.get_pretrained_cfg(name)
    if name in STOCK or (known is not None and known.fixed_input_size):
        options["img_size"] = size
        if other_sizes:
            options["dynamic_img_size"] = True
    tried = size
    try:
        backbone = _create(name, pretrained=pretrained, **options).eval()
        for tried in sizes:
            _require_whole_patches(
                backbone, tried, name=name, size_flag=size_flag if tried == size else ""
            )
            with torch.no_grad():
                features = backbone(torch.zeros(2, 3, tried, tried))
    except ConfigError:
        raise
    except (AssertionError, RuntimeError, ValueError, TypeError) as error:
        if num_heads is not None:
            _require_heads(name, num_heads)
        raise ConfigError(
            f"{name} cannot take views or patches of {tried} px: {_first_line(error)}. Change "
            f"{size_flag if tried == size else _OTHER_SIZE}, or the backbone."
        ) from error
    if features.shape != (2, num_features_of(backbone)):
        raise ConfigError(
            f"{name} does not give one feature vector per image. Choose another backbone."
        )
    if freeze_patches:
        patches = getattr(getattr(backbone, "patch_embed", None), "proj", None)
        if patches is None:
            raise ConfigError(
                f"--backbone.freeze-patches is for transformers, and --backbone.name is {name!r}. "
                "Give --backbone.no-freeze-patches, in case a recipe sets it."
            )
        patches.requires_grad_(False)
    return backbone.train()


def strided_at_one_pixel(backbone: nn.Module, size: int) -> str:
    """Return the first strided convolution whose input is one pixel for views of ``size``, or "".

    The gradient of its 3 x 3 kernel in bf16 on a CPU is undefined: oneDNN leaves uninitialised
    memory in the weights that no pixel meets (seen in torch 2.15, only on inputs of 1 x 1).
    """
    found: list[str] = []

    def look(name: str) -> Callable[[nn.Module, tuple[torch.Tensor, ...]], None]:
        return lambda _, inputs: found.append(name) if inputs[0].shape[-2:] == (1, 1) else None

    hooks = [
        module.register_forward_pre_hook(look(name))
        for name, module in backbone.named_modules()
        if isinstance(module, nn.Conv2d) and max(module.stride) > 1 and max(module.kernel_size) > 1
    ]
    was_training = backbone.training
    with torch.no_grad():
        backbone.eval()(torch.zeros(1, 3, size, size))
    backbone.train(was_training)
    for hook in hooks:
        hook.remove()
    return found[0] if found else ""


def load_backbone(source: str | Path, *, pretrained: bool = True) -> nn.Module:
    """Return a frozen backbone in evaluation mode: (N, 3, H, W) to (N, D) pooled features.

    Args:
        source: a run folder, a backbone folder, or a timm name (`vidmoco_…` names included).
        pretrained: ``False`` gives the same architecture with random weights.

    Raises:
        ConfigError: there is neither such a folder nor such a name.
        CheckpointError: the folder is damaged, or the weights cannot be downloaded.
    """
    folder = backbone_folder(source)
    if folder is None:
        _require_model(str(source))
        model = _create(str(source), pretrained=pretrained)
    else:
        check_folder(folder)
        model = _create(f"local-dir:{folder}", pretrained=pretrained)
    return model.eval().requires_grad_(False)


def architecture_of(source: str | Path) -> str:
    """Return timm's architecture name of what ``load_backbone`` loads."""
    folder = backbone_folder(source)
    if folder is None:
        _require_model(str(source))
        return str(source)
    return str(check_folder(folder)["architecture"])


def num_features_of(backbone: nn.Module) -> int:
    """Return D, the dimension of the pooled feature."""
    known: Any = backbone
    return int(getattr(known, "head_hidden_size", None) or known.num_features)


def heads_of(backbone: nn.Module) -> int:
    """Return the number of attention heads of a timm transformer, 0 for other networks."""
    blocks: Any = getattr(backbone, "blocks", None)
    attention = getattr(blocks[0], "attn", None) if blocks is not None and len(blocks) else None
    return int(getattr(attention, "num_heads", 0))


def save_backbone(
    backbone: nn.Module,
    folder: Path,
    *,
    input_size: int,
    provenance: dict[str, Any],
    advice: str = " and give the same command again, or name another folder.",
) -> None:
    """Write ``backbone`` as a timm folder, which timm loads without vidmoco.

    Load it by ``timm.create_model("local-dir:FOLDER", pretrained=True)``. ``provenance`` replaces
    what timm knows of its own weights (tag, licence, origin, paper): these are other weights.
    ``advice`` says how to go on if the folder cannot be written.

    Raises:
        ConfigError: the folder cannot be written; an older backbone there is kept.
    """
    stock: Any = backbone.pretrained_cfg
    ours = {
        key: value
        for key, value in dict(stock).items()
        if key in ("architecture", "interpolation", "crop_mode")
        or key in ("first_conv", "classifier", "fixed_input_size")
    }
    ours |= {
        # All views are normalised so, whatever timm's own weights were trained with.
        "mean": IMAGENET_MEAN,
        "std": IMAGENET_STD,
        "tag": "vidmoco",
        "num_classes": 0,
        "input_size": (3, input_size, input_size),
        "pool_size": None,
        # 224 of 256 is the test crop of all papers of this field, except for images of 32 pixels.
        "crop_pct": CROP_PCT if stock["architecture"] in RESNETS else 0.875,
        "custom_load": False,
    }
    # safetensors takes contiguous tensors only.
    plain: Any = copy.deepcopy(backbone).to(memory_format=torch.contiguous_format)
    plain.pretrained_cfg = ours
    with atomic_write(folder, advice=advice) as part:
        save_for_hf(plain, str(part), model_config={"vidmoco": provenance}, safe_serialization=True)
        # safetensors makes a file that other users cannot read.
        (part / "model.safetensors").chmod((part / "config.json").stat().st_mode)


def is_architecture(name: str) -> bool:
    """Return whether timm has a network of this name."""
    return bool(is_model(name))


def _require_model(name: str) -> None:
    if name.startswith("hf-hub:"):
        return
    if not is_model(name.partition(".")[0]):
        raise ConfigError(
            f"Unknown backbone {name!r}.{nearest(name, timm.list_models())} Expected a timm "
            "name, a run folder or a backbone folder."
        )


def _require_heads(name: str, num_heads: int) -> None:
    """Refuse a number of heads that the network cannot have."""
    stock: Any = _create(name, pretrained=False)
    if not heads_of(stock):
        raise ConfigError(
            f"--heads is for transformers, and {name} has no attention heads to set. Leave it out."
        )
    width = int(getattr(stock, "embed_dim", None) or stock.num_features)
    if width % num_heads:
        raise ConfigError(
            f"--heads is {num_heads}, which does not divide the {width} features of {name} "
            f"(timm's has {heads_of(stock)})."
        )


def _require_whole_patches(backbone: nn.Module, size: int, *, name: str, size_flag: str) -> None:
    """Refuse a size that is not a multiple of the patch size: timm ignores the remaining pixels."""
    patches = getattr(backbone, "patch_embed", None)
    conv = getattr(patches, "proj", None)
    if not hasattr(patches, "patch_size") or not isinstance(conv, nn.Conv2d):
        return
    side = conv.stride[0]
    pads = conv.padding != (0, 0) or getattr(patches, "dynamic_img_pad", False)
    if conv.kernel_size != conv.stride or pads or size % side == 0:
        return
    below = size // side * side
    nearest_sizes = f"{below} or {below + side}" if below else f"{side}"
    raise ConfigError(
        f"{name} cuts its input into patches of {side} px, and {size} px are not a multiple of "
        f"that. Make {size_flag or _OTHER_SIZE} {nearest_sizes}, or choose another backbone."
    )


def _create(name: str, *, pretrained: bool, **options: Any) -> nn.Module:
    """Create a timm model without classifier; raise its failures as errors of vidmoco."""
    for library in ("timm", "huggingface_hub"):  # they log every attempt to download
        logging.getLogger(library).setLevel(logging.ERROR)
    try:
        model: nn.Module = timm.create_model(name, pretrained=pretrained, num_classes=0, **options)
    except (OSError, HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        raise CheckpointError(
            f"Cannot download the weights of {name}: {_first_line(error)} Give --backbone a run "
            "or backbone folder, or connect to the internet."
        ) from error
    except (RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"Cannot load {name}: {_first_line(error)}") from error
    return model


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [repr(error)]
    return " ".join(lines[:2])


def weights_hash(backbone: nn.Module) -> str:
    """Return 16 hex digits of the SHA-256 of names, shapes, types and bytes of all weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(backbone.state_dict().items()):
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {tuple(values.shape)} {values.dtype}".encode())
        digest.update(values.view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
