"""What a file is that is no checkpoint, by its first bytes."""

import re
import zipfile
from pathlib import Path

_PLAIN = "Give a checkpoint file (.pth, .pt, .tar, .ckpt or .safetensors)"
_GIVE = "Give the checkpoint file that it was made from"
# Patterns of the first bytes. A file of torch.save begins with "PK" or \x80.
_KINDS = {
    rb"version https://git-lfs": (
        "a pointer of Git LFS, not the file itself (git lfs pull)",
        "Download it again",
    ),
    rb"\s*<": ("a web page, not a checkpoint", "Download it again"),
    rb"\x08[\x01-\x20][\x12\x1a\x22\x28\x32\x3a\x42]": ("an exported network (ONNX)", _GIVE),
    rb".{4}TFL3": ("an exported network (TensorFlow Lite)", _GIVE),
    rb"\x89HDF\r\n": ("an HDF5 file, as Keras writes", "Give a checkpoint file of PyTorch"),
    rb"\x93NUMPY": ("an array of NumPy", "Give a checkpoint file of PyTorch"),
    rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf|\x28\xb5\x2f\xfd|Rar!": (
        "a compressed file",
        "Unpack it, and give the checkpoint file in it",
    ),
    rb"\xff\xd8\xff|\x89PNG|GIF8|RIFF.{4}WEBP": ("a picture", _PLAIN),
    rb".{4}ftyp|\x1aE\xdf\xa3|RIFF.{4}AVI": ("a video", _PLAIN),
    rb"%PDF": ("a PDF file", _PLAIN),
}
_BY_SUFFIX = {".py": "a Python program", ".ipynb": "a notebook", ".json": "a JSON file",
              ".yaml": "a YAML file", ".yml": "a YAML file"}  # fmt: skip


def kind_of_other(path: Path, start: bytes) -> str:
    """Return what a file is and what to do, if it is surely no checkpoint; else an empty text.

    Args:
        path: the file; its suffix says of what language a text is.
        start: its first bytes.
    """
    if start[8:9] == b"{":  # safetensors: the length of a header in eight bytes, then JSON
        return ""
    for pattern, (what, advice) in _KINDS.items():
        if re.match(pattern, start, re.DOTALL):
            return f"{what}. {advice}."
    if start.startswith(b"PK"):
        return _kind_of_zip(path)
    if _is_text(start):
        return f"{_BY_SUFFIX.get(path.suffix.lower(), 'a text')}, not weights. {_PLAIN}."
    return ""


def _kind_of_zip(path: Path) -> str:
    """Return what a zip file is that has nothing of torch.save's in it; else an empty text."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError):  # cut short: said elsewhere
        return ""
    if any(name.endswith(("data.pkl", ".storage", "constants.pkl")) for name in names):
        return ""
    if names and all(name.endswith(".npy") for name in names):
        return f"arrays of NumPy (.npz), not weights of PyTorch. {_PLAIN}."
    inner = next((name for name in names if name.endswith((".pth", ".pt", ".safetensors"))), "")
    if inner:
        return f"a zip file that holds {inner}. Unpack it, and give that file."
    return f"a zip file that torch.save has not written. {_PLAIN}."


def _is_text(start: bytes) -> bool:
    """Return whether bytes are the begin of a text in several words. Pickles of old are not."""
    try:
        text = start.decode()
    except UnicodeDecodeError as error:
        if error.start < len(start) - 3:  # else a character is cut
            return False
        text = start[: error.start].decode()
    is_printable = all(one.isprintable() or one in "\n\r\t" for one in text)
    return len(text) > 1 and is_printable and bool(re.search(r"\w[ \t=:]+\S|[\[{\"]", text))
