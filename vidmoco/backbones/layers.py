"""The layers of a backbone, from its input to its output, as timm counts them."""

from timm.optim import param_groups_layer_decay
from torch import nn


def layer_scales(backbone: nn.Module, decay: float | None) -> dict[nn.Parameter, float]:
    """Return the factor of the learning rate of each trained parameter.

    It is ``decay`` to the power of the number of layers after the parameter's own (Clark et al.
    2020; BEiT, Bao et al. 2022). None means no factors.
    """
    if decay is None:
        return {}
    groups = param_groups_layer_decay(backbone, layer_decay=decay)
    return {parameter: group["lr_scale"] for group in groups for parameter in group["params"]}
