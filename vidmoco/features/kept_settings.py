"""The settings that features are kept with, in a sidecar or of a dataset, in words."""

from pathlib import Path
from typing import Any

from vidmoco.errors import ConfigError


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
