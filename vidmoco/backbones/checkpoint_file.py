"""Read checkpoints of other tools without running any code that they hold."""

import argparse
import mmap
import pickle
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from vidmoco.backbones.other_files import kind_of_other
from vidmoco.checkpoint import MAX_UNPACKED, require_unpacked_size
from vidmoco.errors import CheckpointError, ConfigError

_NUMPY_SCALAR = np.float64(0).__reduce__()[0]
# Classes that hold only values: the flags of a run, which DINO and others save beside the weights,
# and numbers of numpy, such as a computed learning rate.
_HARMLESS: list[Any] = [
    argparse.Namespace,
    np.dtype,
    type(np.dtype(np.float64)),
    type(np.dtype(np.float32)),
    type(np.dtype(np.int64)),
    (_NUMPY_SCALAR, "numpy._core.multiarray.scalar"),
    (_NUMPY_SCALAR, "numpy.core.multiarray.scalar"),  # numpy 1's name
]
# How torch's unpickler says that it has met an object other than weights.
_OBJECTS = (
    r"GLOBAL (\S+)",
    r"Unsupported class (\S+)",
    r"unrecognized function <(?:class|function|built-in function) '?([\w.]+)",
    r"add_safe_globals`,? but got <class '([\w.]+)",
    r"must be imported to load (DTensors)",
)
# Functions and modules that can run any code. ``commands`` is Python 2's subprocess.
_RUNS_CODE = ("exec", "eval", "compile", "__import__", "open", "subprocess", "commands")
_SAVE_WEIGHTS = (
    "If you trust its source, save only the weights: loaded = torch.load(FILE, "
    "weights_only=False), and torch.save(loaded['state_dict'], NEW) with the file's own key, or "
    "torch.save(loaded.state_dict(), NEW) if it is a network."
)
_STARTS = (b"PK", b"\x80")  # of torch.save: a zip file, or a pickle before torch 1.6


def read_checkpoint_file(path: Path, *, max_unpacked: int = MAX_UNPACKED) -> Any:
    """Return the content of a ``.safetensors`` or ``torch.save`` file, on the CPU.

    Args:
        path: the file.
        max_unpacked: bytes that a compressed file may unpack to.

    Raises:
        ConfigError: there is no such file.
        CheckpointError: it is damaged or cut short, or holds more than tensors and plain values.
    """
    if other := kind_of_other(path, _start_of(path)):
        raise CheckpointError(f"{path} is {other}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        require_unpacked_size(path, most=max_unpacked)
        _refuse_buffers(path)
        with torch.serialization.safe_globals(_HARMLESS), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Detected pickle protocol")  # refused or read
            warnings.filterwarnings("ignore", "'torch.load' received")  # TorchScript: refused
            # A sparse tensor may lie beside the weights; ``load_strictly`` refuses it as a weight.
            warnings.filterwarnings("ignore", "(Validating )?sparse")
            return torch.load(path, map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except pickle.UnpicklingError as error:
        raise CheckpointError(_refusal(path, error)) from error
    except Exception as error:  # torch raises many kinds for a damaged file
        raise CheckpointError(_damage(path, error)) from error


def _refuse_buffers(path: Path) -> None:
    """Refuse the one call that torch allows and that takes any memory: ``bytearray(10**12)``."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".pkl")]
            has_buffer = any(b"bytearray\n" in archive.read(name) for name in names)
    elif path.stat().st_size:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            has_buffer = data.find(b"\nbytearray\n") >= 0
    else:
        has_buffer = False
    if has_buffer:
        raise CheckpointError(f"{path} holds more than weights: bytearray. {_SAVE_WEIGHTS}")


def _start_of(path: Path) -> bytes:
    """Return the first bytes of a file, or refuse a path that is not a readable file."""
    try:
        if path.is_file():
            with path.open("rb") as file:
                return file.read(64)
    except OSError as error:  # also for a name that is too long
        raise ConfigError(
            f"The checkpoint file {path} cannot be read: {error.strerror or error}. Fix that, or "
            "name another file."
        ) from error
    if path.is_dir():
        raise ConfigError(f"{path} is a folder. Give the checkpoint file in it.")
    raise ConfigError(f"No such checkpoint file: {path}.")


def _refusal(path: Path, error: Exception) -> str:
    """Return why the unpickler refuses a file: an object in it, or damage."""
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
        return f"{refused}. Weights never need it: take the checkpoint from another place."
    return f"{refused}. {_SAVE_WEIGHTS}"


def _damage(path: Path, error: Exception) -> str:
    """Return what is probably wrong with a file that holds no objects."""
    size, start = path.stat().st_size, _start_of(path)
    if "TorchScript" in str(error):
        return (
            f"{path} is a TorchScript program, not just weights. If you trust its source, save "
            "only the weights: torch.save(torch.jit.load(FILE).state_dict(), NEW)."
        )
    cannot = f"{path} ({size:,} bytes) cannot be read as a checkpoint: "
    if not size:
        return f"{cannot}it is empty. Download it again."
    if "Unsupported operand" in str(error):  # of pickle.dump, or torch.save's pickle_protocol=4
        return (
            f"{cannot}its pickle has parts that torch.save does not write by default. They may run "
            f"code, so the file is refused. {_SAVE_WEIGHTS} Otherwise download it again."
        )
    # A safetensors file begins with the length of its header in eight bytes, then JSON.
    if not start.startswith(_STARTS) and start[8:9] != b"{" and path.suffix != ".safetensors":
        return (
            f"{cannot}it begins with {start[:16]!r}, so it is not a file of torch.save or "
            "safetensors. Name one (.pth, .pt, .tar, .ckpt or .safetensors)."
        )
    return (
        f"{cannot}{_reason(error)}. It is damaged, cut short, or another kind of file "
        "(.pth, .pt, .tar, .ckpt and .safetensors are read)."
    )


def _reason(error: Exception) -> str:
    """Return torch's message without its advice to read the file unsafely."""
    lines = [
        line.replace("Weights only load failed.", "").strip() for line in str(error).split("\n")
    ]
    first = next((line for line in lines if line and "weights_only" not in line), "")
    # A KeyError has only a number, and an EOFError no message.
    return first.rstrip(".") if " " in first else f"{type(error).__name__} {first}".strip()
