import pytest
import torch

from vidmoco.backbones.build import build_backbone
from vidmoco.backbones.layers import layer_scales
from vidmoco.config.optim import OptimConfig
from vidmoco.errors import ConfigError
from vidmoco.optim.optimizers import build_optimizer, set_learning_rate


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_layers_near_the_input_learn_more_slowly(optimizer):
    backbone = build_backbone("test_vit", size=32)
    model = torch.nn.Sequential(backbone, torch.nn.Linear(64, 8))
    config = OptimConfig(name=optimizer, layer_decay=0.5, decay_vectors=False)
    scales = layer_scales(backbone, config.layer_decay)
    made = build_optimizer(model.named_parameters(), config, scales=scales)
    set_learning_rate(made, 0.8)
    rates = {id(p): group["lr"] for group in made.param_groups for p in group["params"]}
    assert len(rates) == len(list(model.parameters()))
    rate = {name: rates[id(p)] for name, p in model.named_parameters()}
    depth = len(backbone.blocks)
    assert rate["1.weight"] == 0.8  # the head
    assert rate["0.norm.weight"] == 0.8  # counts to the last block
    for block in range(depth):
        expected = 0.8 * 0.5 ** (depth - 1 - block)
        assert rate[f"0.blocks.{block}.attn.qkv.weight"] == pytest.approx(expected)
    assert rate["0.patch_embed.proj.weight"] == pytest.approx(0.8 * 0.5**depth)
    decays = {id(p): g["weight_decay"] for g in made.param_groups for p in g["params"]}
    assert decays[id(backbone.norm.bias)] == 0 < decays[id(backbone.patch_embed.proj.weight)]


def test_without_a_decay_the_groups_are_those_of_before():
    backbone = build_backbone("test_resnet", size=32)
    assert layer_scales(backbone, None) == {}
    (group,) = build_optimizer(backbone.named_parameters(), OptimConfig()).param_groups
    assert "lr_scale" not in group


def test_no_decay_with_lars_or_out_of_range():
    for options in ({"name": "lars", "layer_decay": 0.5}, {"layer_decay": 0.0}):
        with pytest.raises(ConfigError, match=r"--optim\.layer-decay is"):
            OptimConfig(**options)
