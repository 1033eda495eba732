"""What a backbone gives for images: one vector for each, of ``num_features`` numbers."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from vidmoco.errors import ConfigError


def num_features_of(backbone: nn.Module) -> int:
    """Return D, the dimension of the pooled feature."""
    known: Any = backbone
    return int(getattr(known, "head_hidden_size", None) or known.num_features)


def require_features(model: nn.Module, features: Any, *, name: str) -> None:
    """Refuse what is not one feature vector of ``num_features`` for each of two images.

    A network of one's own that does not say how many it has gets the attributes that timm reads
    when it saves: ``num_features``, and ``num_classes``, which is 0.

    Raises:
        ConfigError: the network gives something else. The error calls it ``name``.
    """
    width = width_of(features, num_images=2, name=name)
    if getattr(model, "head_hidden_size", None) or getattr(model, "num_features", None):
        if num_features_of(model) != width:
            raise ConfigError(
                f"{name} gives features of {width} numbers, and says that it has "
                f"{num_features_of(model)} (num_features). Choose another backbone, or, if it is "
                "your own network, correct it."
            )
    else:
        model.num_features = width  # type: ignore[assignment]
    if not hasattr(model, "num_classes"):
        model.num_classes = 0  # type: ignore[assignment]


def width_of(features: Any, *, num_images: int, name: str) -> int:
    """Return D of what a backbone gives for images, which is (N, D).

    Raises:
        ConfigError: it is not one feature vector per image.
    """
    n = num_images
    is_table = isinstance(features, Tensor) and features.ndim == 2 and features.is_floating_point()
    if is_table and len(features) == n and features.shape[1]:
        return int(features.shape[1])
    raise ConfigError(
        f"{name} gives {_described(features)} for {'one image' if n == 1 else f'{n} images'}; "
        f"expected one feature vector per image, a tensor ({n}, D), as of a timm model with "
        "num_classes=0 and its own pooling. Choose another backbone, or, if it is your own "
        "network, let forward return that tensor."
    )


def _described(output: Any) -> str:
    """Return the shape of a tensor, or what else a network gives."""
    if isinstance(output, Tensor):
        kind = "" if output.is_floating_point() else f" of {output.dtype}"
        return f"{tuple(output.shape)}{kind}"
    if isinstance(output, Mapping):
        return f"a {type(output).__name__} with the keys {', '.join(map(repr, [*output][:8]))}"
    if isinstance(output, tuple | list):
        return f"a {type(output).__name__} of {', '.join(map(_described, output[:4])) or 'nothing'}"
    return f"a {type(output).__name__}"
