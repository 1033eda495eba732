import pytest
import torch
from torch import nn

from vidmoco.methods.heads import build_batch_norm_mlp, build_projector


def test_projectors_of_moco():
    linear = build_projector("linear", num_features=6, dim=4)
    assert (linear.in_features, linear.out_features, linear.bias is not None) == (6, 4, True)
    mlp = build_projector("mlp", num_features=6, dim=4)
    assert [type(layer) for layer in mlp] == [nn.Linear, nn.ReLU, nn.Linear]
    assert (mlp[0].out_features, mlp[2].out_features) == (6, 4)


@pytest.mark.parametrize(
    ("last_norm", "parameters"),
    [
        ("none", None),
        ("plain", set()),
        ("scale", {"weight"}),
        ("scale and shift", {"weight", "bias"}),
    ],
)
def test_the_last_norm(last_norm, parameters):
    head = build_batch_norm_mlp(6, 8, 4, num_layers=3, last_norm=last_norm, bias=False)
    widths = [(m.in_features, m.out_features) for m in head if isinstance(m, nn.Linear)]
    assert widths == [(6, 8), (8, 8), (8, 4)]
    assert head(torch.randn(5, 6)).shape == (5, 4)
    if parameters is None:
        assert isinstance(head[-1], nn.Linear)
    else:
        assert {name for name, _ in head[-1].named_parameters()} == parameters


def test_one_layer():
    head = build_batch_norm_mlp(6, 8, 4, num_layers=1, last_norm="none", bias=True)
    assert [(m.in_features, m.out_features) for m in head] == [(6, 4)]
