import pytest
import timm
import torch
from torch import nn

from vidmoco.backbones.build import load_backbone
from vidmoco.backbones.undrawn import Undrawn


@pytest.mark.parametrize("draw", [nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_])
def test_layers_begin_without_draws(draw):
    tensor = torch.full((3, 2), 0.25)
    with Undrawn():
        assert draw(tensor) is tensor
        assert torch.equal(torch.zeros(2).fill_(3), torch.tensor([3.0, 3.0]))
    assert (tensor == 0.25).all()


@pytest.mark.parametrize("shape", [(3,), (5, 7000), (2**15,), (4, 2**14 + 3)])
def test_large_tensors_repeat_few_numbers(shape):
    tensor, other = torch.zeros(shape), torch.zeros(shape)
    with Undrawn():
        assert tensor.normal_(5.0, 0.1) is tensor
        other.uniform_(2, 3)
    assert abs(tensor.mean() - 5) < 0.5 and 0 < tensor.std() < 0.5
    assert other.min() >= 2 and other.max() <= 3
    numbers = tensor.view(-1)
    assert len(numbers.unique()) <= 2**14
    assert torch.equal(numbers[2**14 :], numbers[: max(0, len(numbers) - 2**14)])


@pytest.mark.parametrize(("low", "high"), [(-2.0, 2.0), (0.02, 9.0)])
def test_numbers_that_torch_draws_again_until_they_fit_come_to_an_end(low, high):
    """The mean itself may not be among those that fit."""
    weight = torch.full((300, 300), 1e30)
    with Undrawn():
        nn.init.trunc_normal_(weight, std=0.1, a=low, b=high)
    assert weight.min() >= low and weight.max() <= high


def test_a_part_of_a_tensor_is_drawn_as_ever():
    tensor = torch.zeros(200, 200)
    with Undrawn():
        tensor[:, ::2].normal_()
    assert len(tensor.unique()) > 2**14 and not tensor[:, 1::2].any()


def test_constants_of_a_network_are_set():
    with Undrawn():
        network = timm.create_model("test_vit", num_classes=0)
    drawn = timm.create_model("test_vit", num_classes=0)
    norms = [m for m in network.modules() if isinstance(m, nn.LayerNorm)]
    assert norms and all((norm.weight == 1).all() for norm in norms)
    assert {name for name, _ in network.named_buffers()} == {n for n, _ in drawn.named_buffers()}


def test_only_a_folder_s_weights_need_no_draws(trained):
    backbone, folder = trained
    before = torch.get_rng_state()
    state = load_backbone(folder).state_dict()
    assert all(torch.equal(value, state[key]) for key, value in backbone.state_dict().items())
    torch.set_rng_state(before)
    random = load_backbone(folder, pretrained=False)
    torch.set_rng_state(before)
    again = timm.create_model("resnet18", num_classes=0)
    assert torch.equal(random.layer4[1].conv2.weight, again.layer4[1].conv2.weight)
