"""Checkpoints of other tools, read without running anything that is in them."""

import argparse
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from vidmoco.errors import CheckpointError, ConfigError

_NUMPY_SCALAR = np.float64(0).__reduce__()[0]
# The flags of a run, which DINO and others save beside the weights: a class that holds values only.
# Numbers of numpy too, such as a learning rate that numpy has computed.
_HARMLESS: list[Any] = [
    argparse.Namespace,
    np.dtype,
    type(np.dtype(np.float64)),
    type(np.dtype(np.float32)),
    type(np.dtype(np.int64)),
    (_NUMPY_SCALAR, "numpy._core.multiarray.scalar"),
    (_NUMPY_SCALAR, "numpy.core.multiarray.scalar"),  # numpy 1's name
]
_NOT_WEIGHTS = {
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself (git lfs pull)",
    b"<": "a web page, not the file it speaks of",
}


def read_checkpoint_file(path: Path) -> Any:
    """Return what is in a ``.safetensors`` file or in one of ``torch.save``, on the CPU.

    Raises:
        ConfigError: there is no such file.
        CheckpointError: it is damaged or cut short, or holds more than tensors and plain values.
    """
    if not path.is_file():
        raise ConfigError(f"No such checkpoint file: {path}.")
    with path.open("rb") as file:
        start = file.read(64).lstrip()
    for magic, what in _NOT_WEIGHTS.items():
        if start.startswith(magic):
            raise CheckpointError(f"{path} is {what}. Download it again.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(_HARMLESS), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Detected pickle protocol")  # refused or read
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(_refusal(path, str(error))) from error
    except Exception as error:  # torch raises many kinds for a damaged file
        raise CheckpointError(_damage(path, error)) from error


def _refusal(path: Path, reason: str) -> str:
    """Return why the unpickler refused a file: something in it, or its damage."""
    for mark in ("Unsupported global: GLOBAL ", "Unsupported class "):
        if mark in reason:
            what = reason.partition(mark)[2].split()[0].rstrip(".")
            return (
                f"{path} holds more than weights: {what}. Such an object can run code when it is "
                "loaded, so the file is refused. If you trust who made it, save its weights alone: "
                "torch.save(torch.load(FILE, weights_only=False)['state_dict'], NEW), or what the "
                "file calls it."
            )
    return _damage(path, reason)


def _damage(path: Path, reason: object) -> str:
    first = next(iter(str(reason).strip().splitlines()), repr(reason))
    return (
        f"{path} ({path.stat().st_size:,} bytes) cannot be read as a checkpoint: {first} It is "
        "damaged, not downloaded whole, or another kind of file (.pth, .pt, .tar, .ckpt and "
        ".safetensors are read)."
    )
