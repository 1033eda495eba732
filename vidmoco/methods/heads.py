"""Projectors and predictors: the layers between the backbone's feature and the embedding."""

from itertools import pairwise
from typing import Literal

from torch import nn

MoCoHead = Literal["linear", "mlp", "mlp_bn"]


def build_projector(kind: MoCoHead, *, num_features: int, dim: int) -> nn.Module:
    """Return MoCo's head from D = ``num_features`` to C = ``dim``.

    ``linear`` is one layer in place of ResNet's classifier (He et al. 2020, section 3.3). ``mlp``
    has a hidden layer as wide as the feature, with ReLU and no batch norm (Chen et al. 2020,
    "Improved Baselines with Momentum Contrastive Learning", section 3). ``mlp_bn`` is SimCLR's
    head, with batch norm after both layers, the last one without a shift (Chen et al. 2020, "A
    Simple Framework for Contrastive Learning of Visual Representations", the authors' code).
    """
    if kind == "linear":
        return nn.Linear(num_features, dim)
    if kind == "mlp_bn":
        return build_batch_norm_mlp(
            num_features, num_features, dim, num_layers=2, last_norm="scale", bias=False
        )
    return nn.Sequential(
        nn.Linear(num_features, num_features), nn.ReLU(), nn.Linear(num_features, dim)
    )


LastNorm = Literal["none", "plain", "scale", "scale and shift"]
"""Batch norm after the last layer: none, without parameters, with gamma, or with gamma and beta."""


def build_batch_norm_mlp(
    in_dim: int, hidden_dim: int, out_dim: int, *, num_layers: int, last_norm: LastNorm, bias: bool
) -> nn.Sequential:
    """Return linear layers with batch norm and ReLU between them, and ``last_norm`` at the end.

    These are the heads of SimCLR, MoCo v3 and Fast-MoCo. ``bias`` adds biases to the linear layers.
    A batch norm after them makes them superfluous, but Fast-MoCo has them.
    """
    widths = [in_dim, *[hidden_dim] * (num_layers - 1), out_dim]
    layers: list[nn.Module] = []
    for width, next_width in pairwise(widths[:-1]):
        layers += [nn.Linear(width, next_width, bias=bias), nn.BatchNorm1d(next_width), nn.ReLU()]
    layers.append(nn.Linear(widths[-2], out_dim, bias=bias))
    if last_norm != "none":
        norm = nn.BatchNorm1d(out_dim, affine=last_norm != "plain")
        if last_norm == "scale":
            norm.register_parameter("bias", None)
        layers.append(norm)
    return nn.Sequential(*layers)
