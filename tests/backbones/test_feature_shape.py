import json
import re
from types import SimpleNamespace

import pytest
import timm
import torch
from torch import nn

import vidmoco
from vidmoco.backbones.build import build_backbone, load_backbone, save_backbone
from vidmoco.backbones.feature_shape import num_features_of, require_features, width_of
from vidmoco.backbones.trial import require_savable
from vidmoco.errors import ConfigError


class Network(nn.Module):
    """A network of one's own that says nothing about itself."""

    def __init__(self, num_classes=0, in_chans=3):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)

    def forward(self, images):
        return self.conv(images).mean((2, 3))


@pytest.fixture
def registered(request):
    """Return a function that registers a class with timm and returns its name."""

    def register(network):
        def build(pretrained=False, **options):
            return timm.models.build_model_with_cfg(network, name, pretrained, **options)

        name = build.__name__ = re.sub(r"\W+", "_", f"vidmoco_{request.node.name}").lower()
        timm.models.register_model(build)
        return name

    return register


def test_a_network_that_does_not_say_its_width_is_trained_saved_and_loaded(registered, tmp_path):
    name = registered(Network)
    backbone = build_backbone(name, size=32)
    assert num_features_of(backbone) == 8
    require_savable(backbone, name=name, input_size=32)
    save_backbone(backbone, tmp_path / "b", input_size=32, provenance={})
    assert json.loads((tmp_path / "b" / "config.json").read_text())["num_features"] == 8
    assert vidmoco.load_frozen(tmp_path / "b").dim == 8
    again = vidmoco.save_backbone(load_backbone(tmp_path / "b"), tmp_path / "c", size=32)
    assert vidmoco.load_frozen(again).dim == 8


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (lambda x: (x, x[:, 0]), r"a tuple of \(2, 8\), \(2,\)"),
        (lambda x: {"x_norm": x}, "a dict with the keys 'x_norm'"),
        (lambda x: SimpleNamespace(last=x), "a SimpleNamespace"),
        (lambda x: None, "a NoneType"),
        (lambda x: x[:, :, None, None], r"\(2, 8, 1, 1\)"),
        (lambda x: x.mean(0), r"\(8,\)"),
        (lambda x: x[:1], r"\(1, 8\)"),
        (lambda x: x[:, :0], r"\(2, 0\)"),
        (lambda x: x.argsort(), r"\(2, 8\) of torch\.int64"),
    ],
    ids=range(9),
)
def test_what_is_not_one_vector_per_image_is_named(output, said, registered):
    class Other(Network):
        def forward(self, images):
            return output(super().forward(images))

    name = registered(Other)
    with pytest.raises(ConfigError, match=f"{name} gives {said} for 2 images; expected one feat"):
        build_backbone(name, size=32)
    with pytest.raises(ConfigError, match=f"This network gives {said} for 2 images"):
        vidmoco.save_backbone(load_backbone(f"random:{name}"), "never", size=32)


def test_a_width_that_is_not_the_stated_one():
    network = Network()
    network.num_features = 9
    with pytest.raises(ConfigError, match=r"x gives features of 8 .* has 9 \(num_features\)"):
        require_features(network, torch.zeros(2, 8), name="x")
    assert width_of(torch.zeros(1, 8), num_images=1, name="x") == 8


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_features_that_are_not_finite(value, registered):
    class Other(Network):
        def forward(self, images):
            return super().forward(images) + float(value)

    backbone = build_backbone(registered(Other), size=32)
    with pytest.raises(ConfigError, match=r"x would end in vain: .* features that are not finite"):
        require_savable(backbone, name="x", input_size=32)


def test_a_network_of_one_channel(tmp_path):
    gray = timm.create_model("test_resnet", num_classes=0, in_chans=1)
    timm.models.save_for_hf(gray, str(tmp_path / "gray"), safe_serialization=True)
    with pytest.raises(ConfigError, match=r"gray needs 1 input channels \(3 are supported\)"):
        build_backbone(str(tmp_path / "gray"), size=32)
    with pytest.raises(ConfigError, match=r"network needs 1 input channels \(3 are supported\)"):
        vidmoco.save_backbone(load_backbone(tmp_path / "gray"), tmp_path / "b", size=32)
