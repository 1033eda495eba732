"""Where ``export`` writes to, and the licences that a model card may name."""

import re

from vidmoco.errors import ConfigError, nearest

TARGETS = ("timm", "torchvision", "moco", "moco_v3", "onnx", "hf-folder")
_HUB = "hub:"
UNSTATED = "other"
"""What the Hub calls terms that are none of these."""
# https://huggingface.co/docs/hub/repositories-licenses
LICENSES = (
    "apache-2.0", "mit", "openrail", "bigscience-openrail-m", "creativeml-openrail-m",
    "bigscience-bloom-rail-1.0", "bigcode-openrail-m", "afl-3.0", "artistic-2.0", "bsl-1.0",
    "bsd", "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear", "c-uda", "cc", "cc0-1.0",
    "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0",
    "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0",
    "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0",
    "cdla-sharing-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0", "wtfpl", "ecl-2.0",
    "epl-1.0", "epl-2.0", "etalab-2.0", "eupl-1.1", "eupl-1.2", "agpl-3.0", "gfdl", "gpl",
    "gpl-2.0", "gpl-3.0", "lgpl", "lgpl-2.1", "lgpl-3.0", "isc", "intel-research", "lppl-1.3c",
    "ms-pl", "apple-ascl", "apple-amlr", "mpl-2.0", "odc-by", "odbl", "openmdw-1.0", "openrail++",
    "osl-3.0", "postgresql", "ofl-1.1", "ncsa", "unlicense", "zlib", "pddl", "lgpl-lr",
    "deepfloyd-if-license", "fair-noncommercial-research-license", "llama2", "llama3", "llama3.1",
    "llama3.2", "llama3.3", "llama4", "grok2-community", "gemma", "unknown", "other",
)  # fmt: skip
# As in huggingface_hub.utils.validate_repo_id, which takes a name without a user too.
_REPOSITORY = re.compile(r"(?:\w(?:[\w.-]{0,94}\w)?/)\w(?:[\w.-]{0,94}\w)?", re.ASCII)


def repository_of(target: str) -> str | None:
    """Return ``USER/NAME`` of ``hub:USER/NAME``, or None."""
    return target.removeprefix(_HUB) if target.startswith(_HUB) else None


def require_target(target: str) -> None:
    """Raise ``ConfigError`` if ``--to`` names nothing, or what cannot be a repository."""
    name = repository_of(target)
    if name is None and target not in TARGETS:
        raise ConfigError(
            f"--to is {target!r}.{nearest(target, TARGETS)} Expected one of {', '.join(TARGETS)}, "
            f"or {_HUB}USER/NAME."
        )
    if name is not None and (
        not _REPOSITORY.fullmatch(name)
        or any(part in name for part in ("--", ".."))
        or name.endswith(".git")
    ):
        raise ConfigError(
            f"--to is {target!r}; expected {_HUB}USER/NAME of letters, digits, '-', '_' and '.' "
            "(each 96 at most; no '--' or '..', no '-' or '.' at an end, no '.git'), such as "
            f"{_HUB}alice/kitchen."
        )


def require_license(name: str | None, *, to: str) -> None:
    """Raise ``ConfigError`` if no licence is named, or one that the Hub does not know."""
    if name is None:
        raise ConfigError(
            f"--to {to} publishes the weights: say by --license on which terms, such as "
            f"apache-2.0, cc-by-nc-4.0 or {UNSTATED}. Only you know whether the videos, and the "
            "people in them, allow it."
        )
    if name not in LICENSES:
        raise ConfigError(
            f"--license is {name!r}.{nearest(name, LICENSES)} Expected a name that the Hugging "
            f"Face Hub knows, such as apache-2.0, mit, cc-by-4.0, cc-by-nc-4.0, or {UNSTATED} for "
            "terms of your own."
        )
