"""The settings that features are kept with, in a sidecar or of a dataset, in words."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vidmoco.errors import ConfigError

_DEFAULTS = {"feature": "pooled", "pool": "none"}
"""Of settings that are left out where they have these."""
_MOST_SHOWN = 60  # characters


def require_frames(path: Path, settings: dict[str, Any]) -> None:
    """Refuse features that are not one vector per frame.

    Raises:
        ConfigError: they are patch tokens, or pooled over frames.
    """
    if settings.get("feature") == "patches":
        raise ConfigError(
            f"{path} holds patch tokens; expected one vector per frame. Extract them again with "
            "--feature pooled or cls."
        )
    if settings.get("pool") is not None:
        raise ConfigError(
            f"{path} holds features pooled over frames (--pool {settings['pool']}); expected one "
            "vector per frame. Extract them again without --pool."
        )


def describe_backbone(settings: dict[str, Any]) -> str:
    """Return a text of all that decides a feature; it is equal for comparable features."""
    preprocess = settings["preprocess"]
    rest = {key: value for key, value in preprocess.items() if key != "size"}
    details = ", ".join(f"{key} {value}" for key, value in sorted(rest.items()))
    kind = f"{settings['feature']} of " if "feature" in settings else ""
    return (
        f"{kind}{settings.get('architecture')} with weights {settings['weights_hash']} at "
        f"{preprocess.get('size')} px ({details})"
    )


def changes_in_words(known: dict[str, Any], given: dict[str, Any], keys: Sequence[str]) -> str:
    """Return what ``keys`` were and are, as flags, such as ``--every 1, now --every 2``."""
    said = []
    for key in keys:
        if key == "weights_hash":
            said.append((_backbone(known, given), _backbone(given, known)))
        elif key == "preprocess":
            was, now = known.get(key) or {}, given.get(key) or {}
            changed = [one for one in {**was, **now} if was.get(one) != now.get(one)]
            said += [(_flag(one, was.get(one)), _flag(one, now.get(one))) for one in changed]
        else:
            said.append((_flag(key, known.get(key)), _flag(key, given.get(key))))
    return "; ".join(f"{was}, now {now}" for was, now in said)


def _backbone(settings: dict[str, Any], other: dict[str, Any]) -> str:
    name = f"backbone {settings.get('backbone')}"
    if settings.get("backbone") != other.get("backbone"):
        return name
    return f"{name} with weights {settings.get('weights_hash')}"


def _flag(key: str, value: Any) -> str:
    flag = "--" + key.replace("_", "-")
    value = _DEFAULTS.get(key) if value is None else value
    if value is None or value is False or value == []:
        return f"no {'clips' if key == 'clips' else flag}"
    if value is True:
        return flag
    if key == "clips":  # of --times-file
        flag, value = "clips at", [f"{a:g}-{'' if b is None else format(b, 'g')}" for a, b in value]
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return f"{flag} {text if len(text) <= _MOST_SHOWN else text[: _MOST_SHOWN - 1] + '…'}"
