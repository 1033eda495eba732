"""The schema of a backbone folder's ``config.json``: what timm's ``save_for_hf`` writes.

A folder may come from a stranger. Its values go to timm's constructors, which take what they are
given: they fail in many ways, or build a network that takes the machine.
"""

import math
import re
from collections.abc import Callable
from typing import Any

MAX_SIDE = 2048
"""Of an input, in pixels. The largest of timm's published networks has 1024."""
_MAX_NUMBER = 10**6
_MAX_TEXT = 1000
_MAX_ITEMS = 64
# Arguments of timm's builder and not of a network.
_NOT_OF_NETWORKS = re.compile(
    r"pretrained.*|checkpoint_path|cache_dir|scriptable|exportable|no_jit|features_only|feature_cfg|"
    r"model_cfg|model_cls|kwargs_filter|variant|pruned|device|dtype|self|kwargs"
)
_Check = Callable[[Any], bool]


def _text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _MAX_TEXT


def _texts(value: Any) -> bool:
    return _text(value) or (
        isinstance(value, list) and len(value) <= _MAX_ITEMS and all(map(_text, value))
    )


def _name(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_.]{1,100}", value) is not None


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _number(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and abs(value) <= _MAX_NUMBER


def _count(value: Any) -> bool:
    return isinstance(value, int) and _number(value) and value >= 0


def _side(value: Any) -> bool:
    return _count(value) and 1 <= value <= MAX_SIDE


def _input_size(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(map(_side, value))


def _pool_size(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= 2 and all(map(_count, value))


def _channels(value: Any) -> bool:
    return isinstance(value, list) and 1 <= len(value) <= 16 and all(map(_number, value))


def _deviations(value: Any) -> bool:
    return _channels(value) and all(one > 1e-6 for one in value)


def _share(value: Any) -> bool:
    return _number(value) and 0.05 <= value <= 20


def _anything(value: Any) -> bool:
    return True


def _argument(value: Any, depth: int = 4) -> bool:
    """Numbers, flags and texts, and short lists and mappings of them."""
    if isinstance(value, dict) and depth:
        return all(map(_text, value)) and _argument(list(value.values()), depth)
    if isinstance(value, list) and depth:
        return len(value) <= _MAX_ITEMS and all(_argument(one, depth - 1) for one in value)
    return value is None or _flag(value) or _number(value) or _text(value)


_TOP: dict[str, tuple[_Check, str]] = {
    "architecture": (_name, "timm's name of a network"),
    "num_classes": (_count, "a number of classes"),
    "num_features": (_count, "a number of features"),
    "global_pool": (_text, "a text"),
    "model_args": (lambda value: isinstance(value, dict), "a mapping of arguments"),
    "pretrained_cfg": (lambda value: isinstance(value, dict), "a mapping of settings"),
}
_PRETRAINED: dict[str, tuple[_Check, str]] = {
    **dict.fromkeys(("url", "file", "hf_hub_id", "hf_hub_filename"), (_texts, "a text")),
    **dict.fromkeys(("source", "tag", "license", "description"), (_text, "a text")),
    **dict.fromkeys(("origin_url", "paper_name"), (_text, "a text")),
    **dict.fromkeys(("paper_ids", "notes"), (_texts, "a text or a list of texts")),
    **dict.fromkeys(("first_conv", "classifier"), (_texts, "the name of a layer")),
    "architecture": (_name, "timm's name of a network"),
    "custom_load": (lambda value: _flag(value) or _text(value), "true or false"),
    **dict.fromkeys(
        ("input_size", "test_input_size", "min_input_size"),
        (_input_size, f"three numbers from 1 to {MAX_SIDE:,}"),
    ),
    "fixed_input_size": (_flag, "true or false"),
    "interpolation": (_text, "a text"),
    "crop_mode": (_text, "a text"),
    **dict.fromkeys(("crop_pct", "test_crop_pct"), (_share, "a number from 0.05 to 20")),
    "mean": (_channels, "a list of numbers"),
    "std": (_deviations, "a list of numbers above 0"),
    "num_classes": (_count, "a number of classes"),
    "label_offset": (_count, "a number of classes"),
    **dict.fromkeys(("label_names", "label_descriptions", "labels"), (_anything, "")),
    **dict.fromkeys(("pool_size", "test_pool_size"), (_pool_size, "two numbers")),
    "global_pool": (_text, "a text"),  # of older versions of timm
}
_MAY_BE_NULL = _PRETRAINED.keys() - {"architecture", "input_size", "mean", "std", "crop_pct"}


def checked_config(config: Any) -> dict[str, Any]:
    """Return a config that timm can be given.

    Where it has no ``pretrained_cfg`` (timm before 0.8), all of it is one.

    Args:
        config: what ``config.json`` says.

    Raises:
        ValueError: a value is missing, of another kind, or too large.
    """
    if not isinstance(config, dict) or "architecture" not in config:
        raise ValueError("it does not name an 'architecture'")
    for key, value in config.items():
        check, expected = _TOP.get(key, (_anything, ""))
        if not check(value):
            raise _wrong(key, value, expected)
    if "pretrained_cfg" not in config:
        known = config.keys() & _PRETRAINED.keys()
        settings = {key: config[key] for key in known - {"architecture"}}
        config = {"architecture": config["architecture"], "pretrained_cfg": settings}
    for key, value in config["pretrained_cfg"].items():
        if key not in _PRETRAINED:
            raise ValueError(f"pretrained_cfg has an unknown key {key[:80]!r}")
        check, expected = _PRETRAINED[key]
        if not check(value) and not (value is None and key in _MAY_BE_NULL):
            raise _wrong(f"pretrained_cfg.{key}", value, expected)
    for key, value in config.get("model_args", {}).items():
        if _NOT_OF_NETWORKS.fullmatch(key) or not re.fullmatch(r"[a-z][a-z0-9_]{0,60}", key):
            raise ValueError(f"model_args has {key[:80]!r}, which is no argument of a network")
        limit = MAX_SIDE if key == "img_size" else _MAX_NUMBER
        sides = value if isinstance(value, list) else [value]
        if not _argument(value) or any(_number(one) and abs(one) > limit for one in sides):
            raise _wrong(f"model_args.{key}", value, f"numbers up to {limit:,}, or short texts")
    return dict(config)


def _wrong(key: str, value: Any, expected: str) -> ValueError:
    shown = repr(value)
    shown = shown if len(shown) <= 80 else shown[:80] + "…"
    return ValueError(f"{key} is {shown}, expected {expected}")
