"""Checkpoints of other tools, read without running anything that is in them."""

import argparse
import pickle
import re
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
# How torch's unpickler words that it has met something other than weights.
_OBJECTS = (
    r"GLOBAL (\S+)",
    r"Unsupported class (\S+)",
    r"unrecognized function <(?:class|function|built-in function) '?([\w.]+)",
    r"add_safe_globals`,? but got <class '([\w.]+)",
    r"must be imported to load (DTensors)",
)
# Functions and modules by which a file runs what it likes; Python 2 called subprocess commands.
_RUNS_CODE = ("exec", "eval", "compile", "__import__", "open", "subprocess", "commands")
_SAVE_ALONE = (
    "If you trust who made it, save its weights alone: torch.save(torch.load(FILE, "
    "weights_only=False)['state_dict'], NEW), or what the file calls it."
)
_STARTS = (b"PK", b"\x80")  # of torch.save: a zip file, and before torch 1.6 a pickle


def read_checkpoint_file(path: Path) -> Any:
    """Return what is in a ``.safetensors`` file or in one of ``torch.save``, on the CPU.

    Raises:
        ConfigError: there is no such file.
        CheckpointError: it is damaged or cut short, or holds more than tensors and plain values.
    """
    start = _start_of(path)
    for magic, what in _NOT_WEIGHTS.items():
        if start.lstrip().startswith(magic):
            raise CheckpointError(f"{path} is {what}. Download it again.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(_HARMLESS), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Detected pickle protocol")  # refused or read
            warnings.filterwarnings("ignore", "'torch.load' received")  # TorchScript: refused
            # One may be beside the weights; as a weight it is refused where the weights are loaded.
            warnings.filterwarnings("ignore", "(Validating )?sparse")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(_refusal(path, error)) from error
    except Exception as error:  # torch raises many kinds for a damaged file
        raise CheckpointError(_damage(path, error)) from error


def _start_of(path: Path) -> bytes:
    """Return the first bytes of a file, or refuse what is none or cannot be read."""
    try:
        if path.is_file():
            with path.open("rb") as file:
                return file.read(64)
    except OSError as error:  # also of a name that is too long
        raise ConfigError(
            f"The checkpoint file {path} cannot be read: {error.strerror or error}. Put that "
            "right, or name another file."
        ) from error
    raise ConfigError(f"No such checkpoint file: {path}.")


def _refusal(path: Path, error: Exception) -> str:
    """Return why the unpickler refused a file: something in it, or its damage."""
    reason = str(error)
    found = next((found for mark in _OBJECTS if (found := re.search(mark, reason))), None)
    if found is None:
        return _damage(path, error)
    what = found[1].rstrip(".")
    refused = (
        f"{path} holds more than weights: {what}. Such an object can run code when it is loaded, "
        "so the file is refused"
    )
    if "is blocked" in reason or what.partition(".")[0] in _RUNS_CODE:
        return f"{refused}. No weights need it: take the checkpoint from another place."
    return f"{refused}. {_SAVE_ALONE}"


def _damage(path: Path, error: Exception) -> str:
    """Return what is wrong with a file that holds no objects, as far as it can be told."""
    size, start = path.stat().st_size, _start_of(path)
    if "TorchScript" in str(error):
        return (
            f"{path} is a program of TorchScript, and not weights alone. If you trust who made it, "
            "save those: torch.save(torch.jit.load(FILE).state_dict(), NEW)."
        )
    cannot = f"{path} ({size:,} bytes) cannot be read as a checkpoint: "
    if not size:
        return f"{cannot}it is empty, not downloaded whole. Download it again."
    if "Unsupported operand" in str(error):  # pickle.dump's own, or torch.save's pickle_protocol=4
        return (
            f"{cannot}its pickle has parts that torch.save does not write by itself, and is not "
            f"run, for it may hold code. {_SAVE_ALONE} Otherwise download it again."
        )
    # The header of safetensors is JSON after its length in eight bytes.
    if not start.startswith(_STARTS) and start[8:9] != b"{" and path.suffix != ".safetensors":
        return (
            f"{cannot}it begins with {start[:16]!r}, and is not a file of torch.save or of "
            "safetensors. Name one (.pth, .pt, .tar, .ckpt or .safetensors)."
        )
    return (
        f"{cannot}{_words_of(error)}. It is damaged, not downloaded whole, or another kind of file "
        "(.pth, .pt, .tar, .ckpt and .safetensors are read)."
    )


def _words_of(error: Exception) -> str:
    """Return what torch says of a file, without its advice to read it unsafely."""
    said = [
        line.replace("Weights only load failed.", "").strip() for line in str(error).split("\n")
    ]
    first = next((line for line in said if line and "weights_only" not in line), "")
    # Of a KeyError there is only a number, and nothing of an EOFError.
    return first.rstrip(".") if " " in first else f"{type(error).__name__} {first}".strip()
