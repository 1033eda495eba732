"""The names of timm's networks, read from its files: importing timm takes seconds."""

import importlib.util
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

from vidmoco.backbones.folder import check_folder
from vidmoco.backbones.source import HUB, Source, parse_source, unknown_backbone

_NETWORK = re.compile(r"^@register_model\ndef (\w+)\(", re.MULTILINE)
_RENAMED = re.compile(r"""^\s*['"](\w+)['"]\s*:""", re.MULTILINE)
_OWN = "vidmoco_"  # registered by vidmoco or the user


def require_sources(*sources: str | None) -> None:
    """Refuse paths without a backbone and names that timm does not know, before timm is imported.

    Raises:
        ConfigError: no backbone is at a path, or has the name.
    """
    for source in sources:
        if source is not None:
            _require_known(parse_source(source))


def _require_known(source: Source) -> None:
    if source.folder is not None:
        check_folder(source.folder)
    if source.folder is not None or source.name.startswith((HUB, _OWN)):
        return
    timm: Any = sys.modules.get("timm")  # who has imported it may have registered more
    if timm is not None and timm.is_model(source.architecture):
        return
    known, renamed = _names()
    # No name in the files: they are laid out in another way, and timm itself will judge.
    if known and source.architecture not in known and source.architecture not in renamed:
        raise unknown_backbone(source, known)


@cache
def _names() -> tuple[list[str], list[str]]:
    """Return the names of timm's networks, and those that it has given up."""
    text = _text_of_models()
    return _NETWORK.findall(text), _RENAMED.findall(text)


def _text_of_models() -> str:
    spec = importlib.util.find_spec("timm")
    folders = (spec and spec.submodule_search_locations) or []
    files = sorted(file for folder in folders for file in (Path(folder) / "models").glob("*.py"))
    return "\n".join(file.read_text(encoding="utf-8") for file in files)
