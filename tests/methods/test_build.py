import numpy as np
import pytest
import timm
import torch
from method_material import SHARED_STATS, run, views

from vidmoco.backbones.build import build_backbone
from vidmoco.backbones.feature_shape import num_features_of
from vidmoco.config.methods import (
    METHOD_CONFIGS,
    EndToEndConfig,
    FastMoCoConfig,
    MemoryBankConfig,
    MoCoConfig,
    MoCoV3Config,
    SimCLRConfig,
)
from vidmoco.errors import ConfigError
from vidmoco.methods.build import METHODS, build_method, require_compiler
from vidmoco.methods.protocol import Inputs, Method

NINE = np.ones(9)  # seconds of each video
CONFIGS = [
    MoCoConfig(queue_size=8, dim=5, head="linear", momentum=0.5, tau=0.3, bn_splits=2),
    MoCoV3Config(dim=6, hidden_dim=7, projector_layers=3, predictor_norm=True, tau=0.3),
    FastMoCoConfig(dim=6, hidden_dim=7, predictor_hidden_dim=5, tau=0.3),
    SimCLRConfig(dim=6, projector_layers=3, tau=0.3),
    EndToEndConfig(dim=6, tau=0.3, bn_splits=2),
    MemoryBankConfig(dim=6, loss="info_nce", num_negatives=3, momentum=0.25, tau=0.3),
]
# Of other methods the defaults, made small.
SMALL = {"dim": 6, "hidden_dim": 7, "predictor_hidden_dim": 5, "tau": 0.3}
CONFIGS += [
    kind(**{name: value for name, value in SMALL.items() if name in vars(kind())})
    for kind in METHOD_CONFIGS.values()
    if kind not in {type(config) for config in CONFIGS}
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_every_setting_reaches_the_method(config):
    backbone = build_backbone("resnet10t", size=32, other_sizes=[16])
    method = build_method(
        config,
        backbone,
        Inputs(num_features=num_features_of(backbone), durations=NINE, seed=4),
    )
    assert method.backbone is backbone
    for name, value in vars(config).items():
        if hasattr(method, name):
            assert getattr(method, name) == value, name
    hidden = {"name", "head", "dim", "queue_size", "hidden_dim", "predictor_hidden_dim"}
    hidden |= {"projector_layers", "predictor_norm"}
    assert {name for name in vars(config) if not hasattr(method, name)} <= hidden
    widths = {len(p) for p in method.parameters() if p.ndim == 2}
    assert all(getattr(config, name, config.dim) in widths for name in hidden if "dim" in name)
    if random := getattr(method, "random", None):
        assert random.generator.initial_seed() == 4
    embeddings = []
    method.projector.register_forward_hook(lambda *call: embeddings.append(call[-1]))
    _, stats = run(method, views(0, size=32, crops=1))
    assert embeddings[0].shape[1] == config.dim
    assert embeddings[0].requires_grad  # not those of a key encoder
    assert set(stats) >= SHARED_STATS or "top1" not in stats  # those of the negatives
    assert all(p.grad is not None for p in backbone.parameters())
    assert all(not value.requires_grad for value in stats.values())


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_each_method_has_the_base(config):
    backbone = build_backbone("resnet10t", size=32, other_sizes=[16])
    method = build_method(config, backbone, Inputs(num_features=512, durations=NINE))
    assert isinstance(method, Method)
    assert method.backbone is backbone


def test_each_setting_of_a_method_has_its_method():
    assert set(METHODS) == set(METHOD_CONFIGS.values()), (
        "METHODS in vidmoco/methods/build.py and MethodConfig in vidmoco/config/methods.py name "
        "different methods."
    )


# Heads of these are wider, or narrower, than timm's ``num_features``.
HEADS = ["mobilenetv3_small_050", "mobilenetv4_conv_small_035", "ghostnet_050", "lcnet_035",
         "hgnetv2_b0"]  # fmt: skip


@pytest.mark.parametrize("name", HEADS)
def test_a_backbone_says_how_long_its_features_are(name):
    backbone = timm.create_model(name, num_classes=0)
    method = build_method(SimCLRConfig(dim=6), backbone, Inputs())
    assert backbone.num_features not in {len(p) for p in method.projector.parameters()}
    run(method, views(0, size=64, n=2))


def test_a_network_that_does_not_say_it_is_told():
    pooled = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    with pytest.raises(ConfigError, match=r"of type Sequential does not say .*num_features=D"):
        build_method(SimCLRConfig(dim=6), pooled, Inputs())
    assert build_method(SimCLRConfig(dim=6), pooled, Inputs(num_features=3)).backbone is pooled


def test_the_memory_bank_has_an_entry_a_video():
    backbone = build_backbone("resnet10t", size=32)
    method = build_method(
        MemoryBankConfig(dim=6), backbone, Inputs(num_features=512, durations=NINE)
    )
    assert method.entries.shape == (9, 6)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_one_frame_and_no_gap_is_the_image_method(config):
    """Of times and videos a method without video options sees nothing."""

    def loss_of(**options):
        torch.manual_seed(3)
        backbone = build_backbone("resnet10t", size=32, other_sizes=[16])
        method = build_method(config, backbone, Inputs(num_features=512, durations=NINE, seed=4))
        return [run(method, views(step, size=32), **options)[0] for step in range(2)]

    times = torch.rand(4, 2).double()
    assert all(map(torch.equal, loss_of(), loss_of(times=times)))


def test_a_compiler_is_asked_for_before_the_training(monkeypatch):
    def compile_nothing(function):
        def run(*_):
            raise RuntimeError("InvalidCxxCompiler: no g++\nmore")

        return run

    monkeypatch.setattr(torch, "compile", compile_nothing)
    with pytest.raises(ConfigError, match=r"cannot be used here: InvalidCxx.*: no g\+\+\. In"):
        require_compiler(torch.device("cpu"))
