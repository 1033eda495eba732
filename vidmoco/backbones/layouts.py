"""Where each tool keeps the encoder in its checkpoints, and under which prefix."""

from collections import Counter
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from math import isqrt
from typing import Any

import torch
from torch import Tensor

from vidmoco.backbones.first_layers import prefixes_of_encoders, where_encoders_are
from vidmoco.backbones.key_names import timm_names
from vidmoco.backbones.source import of_vidmoco
from vidmoco.checkpoint import holds_its_values
from vidmoco.errors import CheckpointError

WRAPPERS = ("module.", "_orig_mod.")  # of DistributedDataParallel and of torch.compile
# Keys under which tools keep the state dict. DINO's paper evaluates the teacher. The next-to-last
# line is of averaged weights, which many tools keep beside the others.
_CONTAINERS = (
    *("teacher", "state_dict", "model", "student", "model_state_dict", "model_state"),
    *("state_dict_ema", "model_ema", "ema_state_dict", "ema"),
    *("network", "net", "weights", "params"),
)
# Only DINO's head has this key. A teacher without it may come from any tool.
_DINO = "head.last_layer."
_BATCH_NORM_COUNTER = "num_batches_tracked"
# Classifiers and projectors, which are not part of the backbone.
HEADS = ("fc.", "head.", "heads.", "classifier.", "projection_head.", "prototypes.")
# Of the trainings of MAE, DINOv2 and others on masked images.
_TRAINING_KEYS = ("mask_token", "decoder_")
GIVEN = "as given"
"""The name of the layout where ``prefix`` says where the encoder is."""
TIMM = "timm"
"""That of a file whose keys are those of the named network, behind a prefix that all share."""

# Whose images were resized by the bicubic filter: DINO's and Fast-MoCo's evaluation. MoCo v1 to v3,
# SimSiam, SwAV, mmselfsup, solo-learn, lightly and torchvision use the bilinear one.
BICUBIC = ("dino", "fast_moco", "teacher", "student")


@dataclass(frozen=True)
class Layout:
    """The keys of one tool: those that begin with ``prefix`` are the encoder's."""

    name: str
    prefix: str
    marks: tuple[str, ...]
    """Prefixes that identify this layout: some key begins with one of them."""


# The first layout that has an encoder and a mark in the checkpoint is used.
LAYOUTS = (
    Layout("moco", "encoder_q.net.", ("encoder_q.",)),  # the authors' CIFAR demo
    Layout("mmselfsup", "encoder_q.0.", ("encoder_q.1.",)),  # its old MoCo
    Layout("moco", "encoder_q.", ("encoder_q.",)),
    Layout("mmselfsup", "base_encoder.0.", ("base_encoder.1.",)),  # its first MoCo v3
    Layout("moco_v3", "base_encoder.", ("base_encoder.",)),
    Layout("fast_moco", "backbone.", ("bbone_ema.", "encoder_ema.")),
    Layout("solo_learn", "backbone.", ("momentum_backbone.", "projector.", "classifier.")),
    Layout("mmselfsup", "backbone.", ("neck.", "head.", "data_preprocessor.")),
    Layout("lightly", "backbone.", ("backbone.",)),
    Layout("lightly", "student_backbone.", ("student_backbone.",)),
    Layout("simsiam", "encoder.", ("predictor.",)),
    Layout("swav", "", ("prototypes.", "projection_head.")),
    Layout("torchvision", "", ("conv1.", "conv_proj.", "patch_embed.", "0.weight")),
)


@dataclass(frozen=True)
class Encoder:
    """The weights of an encoder under timm's names, and what they were found in."""

    layout: str
    weights: dict[str, Tensor]
    num_keys: int
    """Number of tensors in the whole checkpoint."""
    dropped: dict[str, int]
    """Number of other keys, by their first word."""
    has_timm_names: bool = False
    """Whether it is a transformer whose keys are timm's in the file."""
    has_training_keys: bool = False
    """Whether the file has keys of a training on masked images, so the weights are not timm's."""
    prefix: str = ""
    """What the encoder's keys begin with, if that is in no layout."""
    container: str = ""
    """The key of the state dict in the checkpoint; "" for the top."""
    other_containers: tuple[str, ...] = ()
    """Keys of other state dicts in it."""


def find_encoder(
    content: Any, *, prefix: str | None = None, wanted: Set[str] | None = None, source: str
) -> Encoder:
    """Return the encoder that is in a checkpoint.

    Args:
        content: what the file holds.
        prefix: what the encoder's keys begin with (after ``module.``). None means find out.
        wanted: the keys of the network, if it is known. Then no layout need fit, and a last layer
            that belongs to the network is kept.
        source: name of the file for errors.

    Raises:
        CheckpointError: there are no weights, or none that begin so.
    """
    container, tensors, others = _state_dict(content, source=source)
    found = None
    if prefix is None and not _fitting(tensors):
        found = _behind_a_prefix(tensors, wanted)
        if found is None and wanted is not None:
            prefix = ""
    layout = found or _layout_of(tensors, container, prefix=prefix, source=source)
    inside = _inside(tensors, layout.prefix)
    if inner := _deeper(inside, wanted, at=layout.prefix, source=source):
        layout = found = Layout(layout.name, layout.prefix + inner, ())
        inside = _inside(tensors, layout.prefix)
    names = timm_names(inside)
    is_timms = "patch_embed.proj.weight" in inside
    left_out = HEADS + (_TRAINING_KEYS if is_timms else ())
    weights = {
        names[key]: tensor
        for key, tensor in inside.items()
        if not names[key].startswith(left_out) or (wanted is not None and names[key] in wanted)
    }
    for key, tensor in weights.items():
        if tensor.layout is torch.strided and not tensor.is_meta and not holds_its_values(tensor):
            raise CheckpointError(
                f"The weights of {source} cannot be right: {key} claims the shape "
                f"{tuple(tensor.shape)}, and the file has fewer values."
            )
    if "register_tokens" in inside:
        weights = _without_class_position(weights)
    used = {layout.prefix + key for key in inside if names[key] in weights}
    dropped = Counter(key.partition(".")[0] for key in tensors.keys() - used)
    is_masked = is_timms and any(key.startswith(_TRAINING_KEYS) for key in inside)
    behind = layout.prefix if found is not None else ""
    return Encoder(
        layout.name,
        weights,
        len(tensors),
        dict(dropped),
        has_timm_names=is_timms,
        has_training_keys=is_masked,
        prefix=behind,
        container=container,
        other_containers=others,
    )


def _inside(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with a prefix, without it."""
    return {
        key.removeprefix(prefix): tensor
        for key, tensor in tensors.items()
        if key.startswith(prefix)
    }


def _deeper(inside: Mapping[str, Tensor], wanted: Set[str] | None, *, at: str, source: str) -> str:
    """Return what else the keys of the only encoder begin with, or ""."""
    if wanted is not None and wanted & set(timm_names(inside).values()):
        return ""
    prefixes = prefixes_of_encoders(inside, without_counters({*(wanted or ())}))
    if len(prefixes) > 1 and "" not in prefixes:
        raise CheckpointError(f"{source}: {where_encoders_are(inside, at=at)}")
    return "" if "" in prefixes else "".join(prefixes)


def _without_class_position(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Add the class token's position to the token, as timm's networks with registers have it.

    DINOv2's files with registers keep a position for the class token, and none for the registers;
    see timm's ``_convert_dinov2``.
    """
    token, positions = weights.get("cls_token"), weights.get("pos_embed")
    if token is None or positions is None or positions.ndim != 3 or token.ndim != 3:
        return weights
    if isqrt(positions.shape[1]) ** 2 == positions.shape[1]:  # of the patches alone
        return weights
    return weights | {"cls_token": token + positions[:, :1], "pos_embed": positions[:, 1:]}


def _state_dict(content: Any, *, source: str) -> tuple[str, dict[str, Tensor], tuple[str, ...]]:
    """Return the key of the state dict in the checkpoint ("" for the top), its tensors, and others.

    The others are keys of further state dicts.
    """
    found = {name: tensors for name, tensors in _tensors_of(content) if len(tensors) > 1}
    if found:
        taken, *others = found
        return taken, found[taken], tuple(name for name in others if name)
    kind = f"{', '.join(map(repr, list(content)[:8]))}" if isinstance(content, Mapping) else ""
    raise CheckpointError(
        f"{source} holds no weights by name, but {kind or type(content).__name__}. Expected a "
        f"state dict, or one under {', '.join(_CONTAINERS)}."
    )


def _tensors_of(content: Any) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yield the tensors by name of each place where tools keep them."""
    if not isinstance(content, Mapping):
        return
    for name in (*_CONTAINERS, ""):
        state = content.get(name) if name else content
        if isinstance(state, Mapping):
            yield (
                name,
                {_unwrapped(str(key)): x for key, x in state.items() if isinstance(x, Tensor)},
            )


def _unwrapped(key: str) -> str:
    while key.startswith(WRAPPERS):
        key = key.partition(".")[2]
    return key


def _layout_of(
    tensors: Mapping[str, Tensor], container: str, *, prefix: str | None, source: str
) -> Layout:
    words = sorted({key.partition(".")[0] for key in tensors})
    if prefix is not None:
        prefix = _unwrapped(prefix)
        prefix += "." if prefix and not prefix.endswith(".") else ""
        if not any(key.startswith(prefix) for key in tensors):
            raise CheckpointError(
                f"No key of {source} begins with {prefix!r}. Its keys begin with: "
                f"{', '.join(words[:12])}. {where_encoders_are(tensors)}"
            )
        return Layout(GIVEN, prefix, ())
    if layout := _fitting(tensors):
        if container != "teacher":
            return layout
        is_dino = any(key.startswith(_DINO) for key in tensors)
        return Layout("dino" if is_dino else container, layout.prefix, ())
    if {"augment_generator", "torch_generator"} <= tensors.keys():
        raise CheckpointError(f"{source} is a checkpoint of vidmoco. {of_vidmoco('RUN')}")
    if len(prefixes_of_encoders(tensors)) == 1:  # ``_deeper`` finds it
        return Layout("torchvision", "", ())
    raise CheckpointError(
        f"The layout of {source} is unknown. Its keys begin with: {', '.join(words[:12])}. "
        f"{where_encoders_are(tensors)} "
        "Give timm's name of the network with --architecture, or the prefix of the backbone's keys "
        "with --prefix."
    )


def _behind_a_prefix(tensors: Mapping[str, Tensor], wanted: Set[str] | None) -> Layout | None:
    """Return the layout behind the words that all keys begin with, such as ``model.``, or None.

    With ``wanted`` the rest must be keys of that network.
    """
    prefix, rest = "", dict(tensors)
    while len(words := {key.partition(".")[0] for key in rest}) == 1:
        word = f"{words.pop()}."
        if not all(key.startswith(word) for key in rest):
            return None
        prefix, rest = prefix + word, {key[len(word) :]: rest[key] for key in rest}
        if wanted is None and (layout := _fitting(rest)):
            return Layout(layout.name, prefix + layout.prefix, ())
        if wanted is not None and wanted & set(timm_names(rest).values()):
            return Layout(TIMM, prefix, ())
    return None


def _fitting(tensors: Mapping[str, Tensor]) -> Layout | None:
    for layout in LAYOUTS:
        has_mark = any(key.startswith(layout.marks) for key in tensors)
        if has_mark and any(key.startswith(layout.prefix) for key in tensors):
            return layout
    return None


def without_counters(keys: set[str]) -> set[str]:
    """Return the keys without batch norm counters, which old files lack and inference ignores."""
    return {key for key in keys if not key.endswith(_BATCH_NORM_COUNTER)}
