import copy

import pytest
import timm
import torch
from torch import nn

from vidmoco.methods.normalization import split_batch_norm


def test_each_part_has_its_own_statistics_as_on_its_own_device():
    torch.manual_seed(0)
    plain = nn.BatchNorm2d(5)
    nn.init.normal_(plain.weight)
    split = split_batch_norm(copy.deepcopy(plain), 4)
    x = torch.randn(12, 5, 3, 3) * torch.arange(1.0, 13.0)[:, None, None, None]
    got = split(x)
    for part in range(4):
        alone = copy.deepcopy(plain)(x[3 * part : 3 * part + 3])
        torch.testing.assert_close(got[3 * part : 3 * part + 3], alone)
    assert not torch.allclose(got, copy.deepcopy(plain)(x), atol=1e-2)


def test_running_statistics_follow_the_mean_over_the_parts():
    torch.manual_seed(0)
    split = split_batch_norm(nn.BatchNorm1d(2), 2)
    x = torch.cat([torch.randn(50, 2) + 1, torch.randn(50, 2) - 3])
    for _ in range(300):
        split(x)
    torch.testing.assert_close(split.running_mean, x.mean(dim=0), atol=0.08, rtol=0)
    assert split.momentum == 0.1
    split.eval()
    expected = (x - split.running_mean) / (split.running_var + split.eps).sqrt()
    torch.testing.assert_close(split(x), expected)


def test_a_stock_backbone_keeps_its_names_and_shapes():
    model = timm.create_model("resnet18", num_classes=0)
    before = {name: tensor.shape for name, tensor in model.state_dict().items()}
    split = split_batch_norm(model, 8)
    assert {name: tensor.shape for name, tensor in split.state_dict().items()} == before
    assert all("Split" in type(m).__name__ for m in split.modules() if hasattr(m, "running_mean"))


def test_batch_norm_with_activation_of_timm_is_split_too():
    model = split_batch_norm(timm.create_model("efficientnet_lite0", num_classes=0), 2)
    assert model(torch.randn(4, 3, 64, 64)).shape == (4, 1280)


def test_an_uneven_batch_is_refused():
    with pytest.raises(ValueError, match="multiple"):
        split_batch_norm(nn.BatchNorm1d(2), 3)(torch.randn(4, 2))


def test_one_part_changes_nothing():
    norm = nn.BatchNorm1d(2)
    assert type(split_batch_norm(norm, 1)) is nn.BatchNorm1d
