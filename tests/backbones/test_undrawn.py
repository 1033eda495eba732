import pytest
import timm
import torch
from torch import nn

from vidmoco.backbones.build import load_backbone
from vidmoco.backbones.undrawn import Undrawn


@pytest.mark.parametrize("draw", ["normal_", "uniform_", "erfinv_"])
def test_nothing_is_drawn(draw):
    tensor = torch.full((3,), 0.25)
    with Undrawn():
        assert getattr(tensor, draw)() is tensor
    assert tensor.tolist() == [0.25] * 3
    with Undrawn():
        assert torch.zeros(2).fill_(3).tolist() == [3, 3]


def test_constants_of_a_network_are_set():
    with Undrawn():
        network = timm.create_model("test_vit", num_classes=0)
    drawn = timm.create_model("test_vit", num_classes=0)
    norms = [m for m in network.modules() if isinstance(m, nn.LayerNorm)]
    assert norms and all((norm.weight == 1).all() for norm in norms)
    assert {name for name, _ in network.named_buffers()} == {n for n, _ in drawn.named_buffers()}


def test_only_weights_of_a_file_need_no_draws(trained):
    backbone, folder = trained
    before = torch.get_rng_state()
    loaded = load_backbone(folder)
    assert torch.equal(torch.get_rng_state(), before)
    state = loaded.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in backbone.state_dict().items())
    torch.manual_seed(0)
    random = load_backbone(folder, pretrained=False)
    assert not torch.equal(torch.get_rng_state(), before)
    assert random.conv1.weight.std() > 0.01
