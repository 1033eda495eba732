"""Projectors: what stands between the backbone's feature and the embedding."""

from typing import Literal

from torch import nn


def build_projector(kind: Literal["linear", "mlp"], *, num_features: int, dim: int) -> nn.Module:
    """Return MoCo's head from D = ``num_features`` to C = ``dim``.

    ``linear``: one layer, in place of ResNet's classifier (He et al. 2020, section 3.3). ``mlp``: a
    hidden layer of the feature's own width with ReLU and no batch norm (Chen et al. 2020, "Improved
    Baselines with Momentum Contrastive Learning", section 3).
    """
    if kind == "linear":
        return nn.Linear(num_features, dim)
    return nn.Sequential(
        nn.Linear(num_features, num_features), nn.ReLU(), nn.Linear(num_features, dim)
    )
