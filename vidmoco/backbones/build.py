"""Build, load and save backbones."""

import copy
import functools
import hashlib
import json
import os
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import timm
import torch
from timm.models import is_model_in_modules, save_for_hf
from torch import nn

from vidmoco.atomic_file import atomic_write
from vidmoco.augment.color import IMAGENET_MEAN, IMAGENET_STD
from vidmoco.backbones.create import create, create_at
from vidmoco.backbones.folder import CONFIG_FILE
from vidmoco.backbones.key_names import differences
from vidmoco.backbones.resnet_32px import CROP_PCT, RESNETS
from vidmoco.backbones.source import Source, parse_source
from vidmoco.backbones.undrawn import Undrawn
from vidmoco.errors import ConfigError

# The flags that set ``other_sizes``, for errors.
_OTHER_SIZE = "--augment.small-size (where Fast-MoCo divides views: --augment.size)"


def build_backbone(
    name: str,
    *,
    size: int,
    other_sizes: Sequence[int] = (),
    weights: str | None = None,
    zero_init_residual: bool = False,
    freeze_patches: bool = False,
    num_heads: int | None = None,
    size_flag: str = "--augment.size",
    tell: Callable[[str], None] = lambda line: None,
) -> nn.Module:
    """Return a timm model without classifier, for training on views of ``size`` pixels.

    Args:
        name: as ``parse_source`` takes it. A folder, a model of the hub or a timm name with a tag
            brings its weights; other names give random ones.
        size: side of the views in pixels.
        other_sizes: sides of other inputs in pixels: patches of views, small crops.
        weights: start from these weights, named in the same way. They must be of the same network.
        zero_init_residual: start each residual branch of a ResNet at zero.
        freeze_patches: do not train the patch embedding of a transformer.
        num_heads: attention heads of a transformer (``--heads``); None means the model's own.
        size_flag: the flag that sets ``size``, for errors.
        tell: takes a line on what of these does not apply to the network.

    Raises:
        ConfigError: timm has no such model, it cannot take a size, or the weights are of another.
        CheckpointError: the weights cannot be loaded or downloaded.
    """
    source = parse_source(name)
    given = parse_source(name if weights is None else weights)
    if given.is_random and weights is not None:
        raise ConfigError(f"--backbone.weights is {weights!r}, which names no weights.")
    starts = given if weights is not None or given.names_weights else None
    options: dict[str, Any] = {}
    if is_model_in_modules(source.architecture, ["resnet"]) or source.architecture in RESNETS:
        options["zero_init_last"] = zero_init_residual
    if num_heads is not None:
        options["num_heads"] = num_heads
    sizes: Any = {"size": size, "other_sizes": other_sizes, "flags": (size_flag, _OTHER_SIZE)}
    is_own = starts is not None and starts.name == source.name
    try:
        backbone = create_at(source, **sizes, pretrained=is_own, **options)
    except ConfigError:
        if num_heads is not None:
            _require_heads(source, num_heads)
        raise
    if zero_init_residual and "zero_init_last" not in options:
        tell(f"--backbone.zero-init-residual is left out: it is for ResNets, not {name}.")
    if starts is not None:
        if not is_own:
            with torch.random.fork_rng(devices=[]):  # the heads start as without weights
                other = create_at(starts, **sizes, pretrained=True)
            _copy_weights(backbone, other, size=size, name=name, source=starts.text)
        tell(f"The backbone starts from the weights of {starts.text}.")
    if freeze_patches:
        patches = getattr(getattr(backbone, "patch_embed", None), "proj", None)
        if patches is None:
            tell(f"--backbone.freeze-patches is left out: {name} has no patch embedding.")
        else:
            patches.requires_grad_(False)
    return backbone.train()


@torch.no_grad()
def _copy_weights(
    backbone: nn.Module, other: nn.Module, *, size: int, name: str, source: str
) -> None:
    """Copy the weights of ``other``, which ``source`` names; both are in evaluation mode.

    Equal shapes do not prove equal networks (heads, activations), so features are compared.

    Raises:
        ConfigError: the networks differ.
    """
    theirs = str(other.pretrained_cfg["architecture"])  # type: ignore[index]
    wrong = differences(other.state_dict(), backbone.state_dict())
    if not wrong:
        backbone.load_state_dict(other.state_dict())
        images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
        if not torch.allclose(backbone(images), other(images), rtol=1e-3, atol=1e-4):
            wrong = "the shapes are equal, but not the features; "
    if wrong:
        raise ConfigError(
            f"--backbone.weights {source} are of a {theirs}, and --backbone.name is {name}: "
            f"{wrong}nothing is loaded. Give --backbone.name {theirs}, or weights of a {name}."
        )


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


def load_backbone(
    source: str | os.PathLike[str], *, pretrained: bool = True, size: int | None = None
) -> nn.Module:
    """Return a frozen backbone in evaluation mode: (N, 3, H, W) to (N, D) pooled features.

    Args:
        source: a run folder, a backbone folder, a timm name (`vidmoco_…` names included),
            `hf-hub:OWNER/NAME`, or `random:` and one of these.
        pretrained: ``False`` gives the same architecture with random weights.
        size: side of its inputs in pixels. None means the backbone's own.

    Raises:
        ConfigError: there is neither such a folder nor such a name, or it cannot take the size.
        CheckpointError: the folder is damaged, or the weights cannot be downloaded.
    """
    found = parse_source(source)
    pretrained = pretrained and not found.is_random
    # A folder's file has all weights of its network.
    with Undrawn() if pretrained and found.folder is not None else nullcontext():
        if size is None:
            model = create(found, pretrained=pretrained)
        else:
            model = create_at(found, size, pretrained=pretrained, flags=("--size", "--size"))
    return model.eval().requires_grad_(False)


def architecture_of(source: str | os.PathLike[str]) -> str:
    """Return timm's architecture name of what ``load_backbone`` loads, with its tag if given."""
    found = parse_source(source)
    return found.name if found.folder is None else found.architecture


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
    interpolation: Literal["bilinear", "bicubic"] = "bilinear",
    mean: tuple[float, float, float] = IMAGENET_MEAN,
    std: tuple[float, float, float] = IMAGENET_STD,
    advice: str = " and give the same command again, or name another folder.",
) -> None:
    """Write ``backbone`` as a timm folder, which timm loads without vidmoco.

    Load it by ``timm.create_model("local-dir:FOLDER", pretrained=True)``. ``provenance`` replaces
    what timm knows of its own weights (tag, licence, origin, paper): these are other weights.
    ``interpolation`` is the filter of its training, and of its paper's evaluation; our views are
    bilinear, whatever timm's own weights of the network were trained with. ``mean`` and ``std``
    normalised its training images; all our views have ImageNet's.
    ``advice`` says how to go on if the folder cannot be written.

    Raises:
        ConfigError: the folder cannot be written; an older backbone there is kept.
    """
    stock: Any = backbone.pretrained_cfg
    ours = {
        key: value
        for key, value in dict(stock).items()
        if key in ("architecture", "crop_mode")
        or key in ("first_conv", "classifier", "fixed_input_size")
    }
    ours |= {
        "mean": mean,
        "std": std,
        "interpolation": interpolation,
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
    plain.register_state_dict_post_hook(_without_shared_memory)
    with atomic_write(folder, advice=advice) as part:
        save_for_hf(plain, str(part), model_config={"vidmoco": provenance}, safe_serialization=True)
        _leave_defaults_out(part / CONFIG_FILE)
        # safetensors makes a file that other users cannot read.
        (part / "model.safetensors").chmod((part / "config.json").stat().st_mode)


def _leave_defaults_out(path: Path) -> None:
    """Drop what timm knows by itself from the arguments of the network.

    transformers' ``AutoModel`` gives some of them too, and fails where they are given twice.
    """
    config = json.loads(path.read_text(encoding="utf-8"))
    args = config.get("model_args", {})
    args.pop("num_classes", None)  # it is in the config itself
    if args.get("in_chans") == 3:
        del args["in_chans"]
    if "global_pool" in args and _pools_so(config["architecture"], args["global_pool"]):
        del args["global_pool"]
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


@functools.cache
def _pools_so(architecture: str, pooling: str) -> bool:
    """Return whether timm pools the features of an architecture so by itself."""

    def described(**options: Any) -> tuple[str, str]:
        with torch.device("meta"), warnings.catch_warnings(action="ignore"):
            network = timm.create_model(architecture, num_classes=0, **options)
        return repr(network), str(getattr(network, "global_pool", ""))

    return described() == described(global_pool=pooling)


def _without_shared_memory(_: nn.Module, state: dict[str, Any], *__: Any) -> None:
    """Copy tensors that share memory (as in CoaT): safetensors takes none."""
    seen: set[int] = set()
    for key, tensor in state.items():
        place = tensor.untyped_storage().data_ptr()
        state[key] = tensor.clone() if place in seen else tensor
        seen.add(place)


def _require_heads(source: Source, num_heads: int) -> None:
    """Refuse a number of heads that the network cannot have."""
    stock: Any = create(source, pretrained=False)
    name = source.label
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


def weights_hash(backbone: nn.Module) -> str:
    """Return 16 hex digits of the SHA-256 of names, shapes, types and bytes of all weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(backbone.state_dict().items()):
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {tuple(values.shape)} {values.dtype}".encode())
        digest.update(values.view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
