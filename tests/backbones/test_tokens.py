import pytest
import timm
import torch

from vidmoco.backbones.frozen import load_frozen
from vidmoco.backbones.tokens import Tokens
from vidmoco.errors import ConfigError

VIT = "vit_tiny_patch16_224"
REGISTERS = "vit_small_patch14_reg4_dinov2"


def model_of(name, **options):
    torch.manual_seed(0)
    return timm.create_model(name, num_classes=0, **options).eval()


def images(size):
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))


@torch.inference_mode()
def test_patches_of_a_transformer_are_its_tokens_without_the_prefix():
    model = model_of(VIT, img_size=64)
    tokens = model.forward_features(images(64))
    assert torch.equal(Tokens(model, "patches", name="v")(images(64)), tokens[:, 1:])
    assert torch.equal(Tokens(model, "cls", name="v")(images(64)), tokens[:, 0])
    assert torch.equal(Tokens(model, "cls", name="v")(images(64)), model(images(64)))
    assert Tokens(model, "patches", name="v").shape(64) == (16, 192)
    assert Tokens(model, "cls", name="v").shape(64) == (0, 192)


@torch.inference_mode()
def test_registers_are_left_out():
    model = model_of(REGISTERS, img_size=56, depth=1)
    assert torch.equal(
        Tokens(model, "patches", name="v")(images(56)), model.forward_features(images(56))[:, 5:]
    )
    assert Tokens(model, "patches", name="v").shape(56) == (16, 384)


@torch.inference_mode()
@pytest.mark.parametrize(("name", "dim"), [("resnet18", 512), ("mobilenetv3_small_050", 288)])
def test_patches_of_a_resnet_are_the_places_of_its_last_map(name, dim):
    model = model_of(name)
    found = Tokens(model, "patches", name="r")(images(64))
    last = model.forward_features(images(64))  # (2, D, 2, 2)
    assert found.shape == (2, 4, dim)
    for place, (row, column) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        assert torch.equal(found[:, place], last[:, :, row, column])


@torch.inference_mode()
def test_a_map_with_channels_last():
    model = model_of(
        "swin_tiny_patch4_window7_224", img_size=64, window_size=2, depths=(1, 1, 1, 1)
    )
    last = model.forward_features(images(64))
    assert last.shape == (2, 2, 2, 768)
    assert torch.equal(Tokens(model, "patches", name="s")(images(64)), last.flatten(1, 2))


def test_a_model_without_a_class_token_is_refused():
    with pytest.raises(ConfigError, match=r"resnet18 has no class token \(--feature cls\)"):
        load_frozen("random:resnet18", feature="cls")


def test_the_frozen_backbone_says_what_its_features_are():
    pooled = load_frozen("random:resnet18", size=64)
    patches = load_frozen("random:resnet18", size=64, feature="patches")
    assert (pooled.row_shape, patches.row_shape) == ((512,), (4, 512))
    assert "feature" not in pooled.provenance
    assert patches.provenance == pooled.provenance | {"feature": "patches"}
    batch = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    assert patches.features(batch).shape == (2, 4, 512)
    torch.testing.assert_close(patches.features(batch).mean(1), pooled.features(batch))
