"""``vidmoco import``: turn the encoder of a published checkpoint into a backbone folder."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn

import vidmoco
from vidmoco.atomic_file import writing
from vidmoco.augment.color import IMAGENET_MEAN, IMAGENET_STD
from vidmoco.backbones.architectures import Guess, guess_architecture
from vidmoco.backbones.build import architecture_of, build_backbone, heads_of, save_backbone
from vidmoco.backbones.checkpoint_file import read_checkpoint_file
from vidmoco.backbones.folder import holds_only_a_backbone
from vidmoco.backbones.key_names import few_of
from vidmoco.backbones.layouts import (
    BICUBIC,
    GIVEN,
    TIMM,
    Encoder,
    find_encoder,
    without_counters,
)
from vidmoco.backbones.source import RANDOM
from vidmoco.backbones.undrawn import Undrawn
from vidmoco.config.commands import ImportCommand
from vidmoco.console import say
from vidmoco.errors import CheckpointError, ConfigError
from vidmoco.text import first_of

_DEFAULT_SIZE = 224  # of all these papers; the weights of a ResNet do not tell
# timm's names of the first convolution in networks that are recognised.
_STEMS = ("conv1.weight", "conv1.0.weight", "patch_embed.proj.weight")


def import_checkpoint(command: ImportCommand, *, console: Console | None = None) -> Path:
    """Write the backbone folder and print what each key was used for.

    Raises:
        ConfigError: the file is missing, the folder exists, or the architecture is wrong or
            unknown.
        CheckpointError: the file is damaged, or does not hold a complete encoder.
    """
    source, folder = command.checkpoint, command.output
    with writing(folder, advice=", or name another folder."):  # a name may be too long
        _require_place(folder, overwrite=command.overwrite)
    max_unpacked = round(command.max_unpacked_gib * 2**30)
    content = read_checkpoint_file(source, max_unpacked=max_unpacked)
    backbone, wanted = None, None
    if command.architecture is not None:
        backbone = _network(
            command.architecture, size=command.size or _DEFAULT_SIZE, num_heads=command.heads
        )
        wanted = backbone.state_dict().keys()
    encoder = find_encoder(content, prefix=command.prefix, wanted=wanted, source=str(source))
    _require_three_channels(encoder.weights, source=str(source))
    guess = guess_architecture(encoder.weights, layout=encoder.layout)
    name = command.architecture or guess.architecture
    if not name:
        other = ", or the prefix of the backbone's keys with --prefix if it has others"
        found, behind = encoder.prefix, f" behind {encoder.prefix!r}" * bool(encoder.prefix)
        raise ConfigError(
            f"The encoder of {source}{behind} has {_describe(encoder.weights)}, whose architecture "
            "is unknown. Name timm's architecture with --architecture"
            f"{'' if command.prefix or found else other}."
        )
    size = command.size or guess.size or _DEFAULT_SIZE
    if backbone is None or size != (command.size or _DEFAULT_SIZE):  # positions of another size
        known = guess.heads if command.architecture is None else 0
        backbone = _network(name, size=size, num_heads=command.heads or known or None)
    # First: the heads do not matter if the architecture does not fit.
    counters = load_strictly(backbone, encoder.weights, name=name, source=str(source))
    _require_heads(backbone, guess, command, name=name)
    provenance = {
        "vidmoco_version": vidmoco.__version__,
        "imported_from": source.name,
        "sha256": _sha256(source),
        "layout": encoder.layout,
    }
    # DeiT's and timm's own transformers have MoCo v3's key names, and not its filter.
    is_timms = encoder.layout == "torchvision" and "its position" not in guess.how
    is_bicubic = encoder.layout in BICUBIC or (is_timms and encoder.has_timm_names)
    mean, std = command.mean or IMAGENET_MEAN, command.std or IMAGENET_STD
    save_backbone(
        backbone,
        folder,
        input_size=size,
        provenance=provenance,
        interpolation="bicubic" if is_bicubic else "bilinear",
        mean=mean,
        std=std,
    )
    how = "as given" if command.heads else guess.how
    stored = architecture_of(folder)  # for vidmoco's transformers, timm's network
    called = name if name == stored else f"{name} (config.json: {stored})"
    console = console or Console()
    _report(encoder, backbone, called, counters, how, console)
    say(console, f"images   normalised by mean {_numbers(mean)}, std {_numbers(std)}")
    may_be_timms = is_timms or encoder.layout in (GIVEN, TIMM)
    if may_be_timms and command.mean is None and command.std is None:
        _tell_of_timms_normalisation(encoder, backbone, (mean, std), console)
    return folder


def _require_three_channels(weights: Mapping[str, Tensor], *, source: str) -> None:
    """Refuse an encoder whose first convolution is not of images of three channels."""
    for name in _STEMS:
        stem = weights.get(name)
        if stem is not None and stem.ndim == 4 and stem.shape[1] != 3:
            raise CheckpointError(
                f"The encoder of {source} needs {stem.shape[1]} input channels (3 are supported)."
            )


def _network(name: str, *, size: int, num_heads: int | None) -> nn.Module:
    with Undrawn():  # a file without all of its weights is refused
        return build_backbone(f"{RANDOM}{name}", size=size, num_heads=num_heads, size_flag="--size")


def _tell_of_timms_normalisation(
    encoder: Encoder, backbone: Any, written: tuple[Sequence[float], ...], console: Console
) -> None:
    """Say so if timm's own weights of a network, which the file may hold, have other numbers."""
    stock = backbone.pretrained_cfg
    theirs = tuple(
        tuple(stock.get(key) or now) for key, now in zip(("mean", "std"), written, strict=True)
    )
    if theirs != written and not encoder.has_training_keys:
        mean, std = map(_numbers, theirs)
        say(
            console,
            f"note     timm's own weights of {stock['architecture']} have mean {mean}, std {std}. "
            f"If the file holds them, import it again with --mean {mean} --std {std} --overwrite.",
        )


def _numbers(values: Sequence[float]) -> str:
    return " ".join(f"{value:g}" for value in values)


def _require_place(folder: Path, *, overwrite: bool) -> None:
    """Refuse an existing output, unless it is a backbone folder and ``overwrite`` is set."""
    if folder.name in ("", ".."):
        raise ConfigError(f"The folder {folder} cannot be replaced. Name a new folder with -o.")
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ConfigError(
            f"{folder} is a file, and a backbone is written as a folder. Name a folder with -o."
        )
    names = sorted(path.name for path in folder.iterdir())
    if names and not holds_only_a_backbone(folder):  # replacing it would delete other files
        raise ConfigError(
            f"{folder} already exists, and holds other files than a backbone: "
            f"{first_of(names)}. Name another folder with -o."
        )
    if not overwrite:
        raise ConfigError(f"{folder} already exists. Add --overwrite, or name another folder.")


def load_strictly(
    backbone: nn.Module, weights: Mapping[str, Tensor], *, name: str, source: str
) -> int:
    """Load each tensor into its place. Return the number of missing batch norm counters.

    Raises:
        CheckpointError: a tensor is missing, left over, of another shape, or cannot be weights.
    """
    wanted = backbone.state_dict()
    missing = sorted(without_counters(wanted.keys() - weights.keys()))
    left_over = sorted(weights.keys() - wanted.keys())
    if missing or left_over:
        raise CheckpointError(
            f"The encoder of {source} is not a {name}: "
            f"{few_of('missing', missing)}{few_of('left over', left_over)}nothing is written. "
            "Name the right timm model with --architecture."
        )
    for key, tensor in weights.items():
        if tensor.shape != wanted[key].shape:
            if wanted[key].ndim == 4 and wanted[key].shape[1] == 3:
                _require_three_channels({_STEMS[0]: tensor}, source=source)
            raise CheckpointError(
                f"The encoder of {source} is not a {name}: {key} has the shape "
                f"{tuple(tensor.shape)}, expected {tuple(wanted[key].shape)}. Name the right timm "
                "model with --architecture, or its input with --size."
            )
        if fault := _fault(key, tensor, wanted[key]):
            raise CheckpointError(f"The weights of {source} cannot be right: {key} {fault}.")
    backbone.load_state_dict(dict(weights), strict=False)
    return len(wanted) - len(weights)


def _fault(key: str, tensor: Tensor, wanted: Tensor) -> str:
    """Return why a tensor cannot be weights of the network, or an empty string."""
    if wanted.is_floating_point() and not tensor.is_floating_point():
        return f"is of {tensor.dtype}, expected floating point"
    if tensor.layout is not torch.strided:
        return "is sparse, expected all values"
    if tensor.is_meta:
        return "has a shape but no values"
    if not torch.isfinite(tensor.to(torch.float32)).all():
        return "has values that are not finite in float32"
    if key.endswith("running_var") and (tensor < 0).any():
        return "is a variance and has negative values"
    return ""


def _require_heads(backbone: nn.Module, guess: Guess, command: ImportCommand, *, name: str) -> None:
    """Refuse a transformer whose weights fit in shape but were trained with other heads."""
    heads = heads_of(backbone)
    if not heads or command.heads:
        return
    if not guess.heads:
        raise ConfigError(
            f"Nothing in {command.checkpoint} says how many heads its transformer has, and papers "
            f"differ (timm's {name} has {heads}, MoCo v3's small one 12). With a wrong number the "
            "weights load, but their features are nonsense. Give the number with --heads."
        )
    if heads != guess.heads:
        raise ConfigError(
            f"The transformer of {command.checkpoint} has {guess.heads} heads ({guess.how}), and "
            f"{name} has {heads}: the weights would load, but their features would be nonsense. "
            f"Use --architecture {guess.architecture or name}, or --heads if you know better."
        )


def _report(
    encoder: Encoder, backbone: nn.Module, name: str, counters: int, how: str, console: Console
) -> None:
    parameters = sum(p.numel() for p in backbone.parameters()) / 1e6
    heads = (
        f", {heads_of(backbone)} heads{f' ({how})' if how else ''}" if heads_of(backbone) else ""
    )
    behind = f" behind {encoder.prefix!r}" if encoder.prefix else ""
    dropped = ", ".join(f"{count} {word}" for word, count in sorted(encoder.dropped.items()))
    say(
        console,
        f"layout   {encoder.layout.replace('_', ' ')}{behind}, {encoder.num_keys} tensors",
        f"encoder  {name}{heads}, {parameters:.1f} M parameters",
        f"used     {len(encoder.weights)} tensors, each in its place",
        f"dropped  {dropped or 'none'}",
        f"missing  {f'{counters} counters of batch norms' if counters else 'none'}",
    )
    if encoder.other_containers:
        others = encoder.other_containers
        say(
            console,
            f"note     {encoder.container!r} of the file is taken, and not "
            f"{', '.join(map(repr, others))}. To import that: "
            f"torch.save(torch.load(FILE)[{others[0]!r}], NEW), and name NEW.",
        )


def _describe(weights: Mapping[str, Tensor]) -> str:
    first = next(iter(weights), "")
    shape = f"{first} of {tuple(weights[first].shape)} and " if first else ""
    return f"{shape}{len(weights)} tensors"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
