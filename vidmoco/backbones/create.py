"""Create timm models for a size of input. No other module calls ``timm.create_model``."""

import logging
import pickle
import warnings
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from itertools import chain
from typing import Any

import timm
import torch
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled
from safetensors import SafetensorError
from timm.models import is_model
from torch import nn

from vidmoco.backbones.checkpoint_file import read_checkpoint_file
from vidmoco.backbones.feature_shape import require_features
from vidmoco.backbones.file_fits import Shapes, require_fit, shapes_in
from vidmoco.backbones.folder import (
    CONFIG_FILE,
    PICKLED_WEIGHTS_FILE,
    check_folder,
    weights_file,
)
from vidmoco.backbones.hub_model import check_hub, tell_of_download
from vidmoco.backbones.inner_weights import only_own_weights
from vidmoco.backbones.preprocess import require_three_channels
from vidmoco.backbones.source import HUB, Source, unknown_backbone
from vidmoco.errors import CheckpointError, ConfigError, VidmocoError

_CANNOT_TAKE = (
    AssertionError,
    RuntimeError,
    ValueError,
    TypeError,
    IndexError,
    NotImplementedError,
)
# Patches, windows and strides of timm's networks divide one of these sizes.
_STEPS = (4, 8, 14, 16, 32, 64)


def create(
    source: Source, *, pretrained: bool, is_retry: bool = False, **options: Any
) -> nn.Module:
    """Create a timm model without classifier, at its own size or at ``img_size``.

    A download is announced, but not when ``is_retry``.

    Raises:
        ConfigError: timm has no such model.
        CheckpointError: a folder is damaged, or the weights cannot be downloaded or loaded.
    """
    if source.folder is not None:
        options["pretrained_cfg_overlay"] = _checked(source, pretrained=pretrained)
    elif not source.name.startswith(HUB) and not is_model(source.architecture):
        raise unknown_backbone(source, timm.list_models())
    for library in ("timm", "huggingface_hub"):  # they log every attempt to download
        logging.getLogger(library).setLevel(logging.ERROR)
    try:
        own = only_own_weights() if source.folder is not None else nullcontext()
        with own, warnings.catch_warnings():  # timm's resizing of relative positions
            warnings.filterwarnings("ignore", r"torch\.searchsorted\(\)|Using a non-tuple sequence")
            if pretrained and source.folder is None and not is_retry:
                tell_of_download(source)
            if source.name.startswith(HUB):
                check_hub(source)
            model: Any = timm.create_model(
                source.name, pretrained=pretrained, num_classes=0, **options
            )
    except (OSError, HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        raise CheckpointError(
            f"Cannot download the weights of {source.label}: {first_line(error)}. Name a run or "
            "backbone folder in its place (of pretrain: --backbone.weights, and no "
            "--backbone.pretrained), or connect to the internet."
        ) from error
    except (RuntimeError, SafetensorError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"Cannot load {source.label}: {first_line(error)}") from error
    except (AttributeError, KeyError, ArithmeticError) as error:
        if source.folder is None:
            raise
        raise CheckpointError(f"Cannot load {source.label}: {first_line(error)}") from error
    model.pretrained_cfg.pop("state_dict", None)
    return model  # type: ignore[no-any-return]


def _checked(source: Source, *, pretrained: bool) -> dict[str, Any]:
    """Check a folder that may come from a stranger, before anything is built.

    Returns:
        What replaces its own settings of timm: no other place of weights counts than the folder.

    Raises:
        CheckpointError: the folder is damaged, or describes no network that its weights fill.
    """
    assert source.folder is not None
    overlay: dict[str, Any] = {"url": None, "hf_hub_id": None, "custom_load": False}
    check_folder(source.folder)
    file = weights_file(source.folder)
    if file.name == PICKLED_WEIGHTS_FILE:  # timm's errors about a pickle are many
        state = read_checkpoint_file(file)
        if not isinstance(state, dict) or not all(
            isinstance(x, torch.Tensor) for x in state.values()
        ):
            raise CheckpointError(f"{file} holds more than tensors by name. Save only these.")
        shapes: Shapes = {str(name): tuple(tensor.shape) for name, tensor in state.items()}
        if pretrained:
            overlay |= {"source": "", "file": None, "state_dict": state}
    else:
        try:
            shapes = shapes_in(file)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"Cannot load {source.label}: {first_line(error)}") from error

    def build() -> nn.Module:
        return timm.create_model(source.name, num_classes=0, pretrained_cfg_overlay=overlay)

    try:
        with warnings.catch_warnings(action="ignore"):  # of the same when it is built in earnest
            require_fit(build, shapes, source=str(source.folder))
    except VidmocoError:
        raise
    except Exception as error:  # of timm's constructors, for arguments that they cannot use
        raise CheckpointError(
            f"timm cannot build the network of {source.folder}/{CONFIG_FILE}: "
            f"{type(error).__name__}, {first_line(error)}. It is damaged, or of another timm."
        ) from error
    return overlay


def create_at(
    source: Source,
    size: int,
    *,
    pretrained: bool,
    other_sizes: Sequence[int] = (),
    flags: tuple[str, str],
    **options: Any,
) -> nn.Module:
    """Create a timm model in evaluation mode that takes square inputs of ``size`` pixels.

    A network whose weights depend on the size of its input gets it from ``img_size``, and timm
    resizes the position embeddings of its weights.

    Args:
        source: What to create.
        size: Side of the input.
        pretrained: Load weights.
        other_sizes: Sides of other inputs that it must take too.
        flags: The flags that set ``size`` and ``other_sizes``, for errors.
        options: Further arguments of ``timm.create_model``.

    Raises:
        ConfigError: timm has no such model, or it cannot take a size. The error names the nearest
            sizes that it takes.
        CheckpointError: as ``create``.
    """
    tried, resized = size, True
    try:
        model, resized = _create_for(source, size, other_sizes, pretrained=pretrained, **options)
        model.eval()
        require_three_channels(model, name=source.label)
        for tried in (size, *other_sizes):
            _require_whole_patches(model, tried, source=source, flag=flags[tried != size])
            features = _features(model, tried)
    except _CANNOT_TAKE as error:
        if isinstance(error, ConfigError):
            raise
        if isinstance(error, TypeError) and "unexpected keyword argument" in str(error):
            raise ConfigError(
                f"{source.label} cannot be created: {first_line(error)}. timm gives it "
                "num_classes, in_chans and others: let its function take **options."
            ) from error
        fixed = None if tried == size else size
        better = _nearest_sizes(source, tried, fixed=fixed, resized=resized, **options)
        raise ConfigError(
            f"{source.label} cannot take inputs of {tried} px: {first_line(error)}. "
            f"Change {flags[tried != size]}{better}, or the backbone."
        ) from error
    require_features(model, features, name=source.label)
    return model


def patches_left_over(backbone: nn.Module, size: int) -> int:
    """Return the patch size if it does not divide ``size``, else 0.

    timm ignores the pixels beyond the last whole patch. Patches that overlap or are padded use all.
    """
    patches = getattr(backbone, "patch_embed", None)
    conv = getattr(patches, "proj", None)
    if not hasattr(patches, "patch_size") or not isinstance(conv, nn.Conv2d):
        return 0
    side = int(conv.stride[0])
    pads = conv.padding != (0, 0) or getattr(patches, "dynamic_img_pad", False)
    return 0 if conv.kernel_size != conv.stride or pads or size % side == 0 else side


def _require_whole_patches(model: nn.Module, size: int, *, source: Source, flag: str) -> None:
    side = patches_left_over(model, size)
    below = size // side * side if side else 0
    if side:
        raise ConfigError(
            f"{source.label} cuts its input into patches of {side} px, and {size} px are not a "
            f"multiple of that. Make {flag} {f'{below} or {below + side}' if below else side}, or "
            "choose another backbone."
        )


def first_line(error: Exception) -> str:
    """Return the beginning of an error's text."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [repr(error)]
    text = " ".join(lines[:2]).rstrip(".")  # a list of all keys may be long
    return text if len(text) <= 400 else f"{text[:400]}…"


def _create_for(
    source: Source, size: int, other_sizes: Sequence[int], **options: Any
) -> tuple[nn.Module, bool]:
    """Create a model with the first way to state the size that its network knows.

    Also return whether its weights could be resized. If not, it has its own size.
    """
    resized = True
    sized = {"img_size": size}
    ways: list[dict[str, Any]] = [sized, {}]
    if other_sizes:
        ways = [sized | {"dynamic_img_size": True}, sized | {"strict_img_size": False}, *ways]
    for way in ways:
        try:
            return create(source, is_retry=way is not ways[0], **options, **way), resized
        except TypeError as error:
            if not any(key in str(error) for key in way):
                raise
        except CheckpointError as error:
            if not way or "size mismatch" not in str(error):
                raise
            resized = False
    raise AssertionError("timm refuses no option, because none is given")


def _features(model: nn.Module, size: int) -> Any:
    with torch.no_grad():
        return model(torch.zeros(2, 3, size, size))


def _nearest_sizes(
    source: Source, size: int, *, fixed: int | None, resized: bool, **options: Any
) -> str:
    """Return ``" (224 and 256 work)"``, the nearest sizes below and above ``size``, or "".

    Networks without memory are tried. With ``fixed`` they are built for that size. Weights that
    cannot be ``resized`` work at their own size only.
    """

    def works(candidate: int) -> bool:
        try:
            with torch.device("meta"):
                others = () if fixed is None else (candidate,)
                model, _ = _create_for(
                    source, fixed or candidate, others, pretrained=False, **options
                )
                _features(model.eval(), candidate)
        except (*_CANNOT_TAKE, CheckpointError):
            return False
        return not patches_left_over(model, candidate)

    try:
        with torch.device("meta"):
            stock: Any = create(source, pretrained=False)
        own = int(stock.pretrained_cfg["input_size"][-1])
    except (*_CANNOT_TAKE, CheckpointError):
        return ""
    steps = chain([own], *([size // s * s, (size // s + 1) * s] for s in _STEPS))
    if not resized:
        return f" ({own} works: timm cannot resize these weights)"
    candidates = sorted({one for one in steps if one > 0} - {size})
    below: Iterable[int] = (one for one in reversed(candidates) if one < size)
    above: Iterable[int] = (one for one in candidates if one > size)
    found = [next((one for one in side if works(one)), None) for side in (below, above)]
    text = " and ".join(str(one) for one in found if one is not None)
    return f" ({text} {'works' if None in found else 'work'})" if text else ""
