import pytest
import timm
from torch import nn

from vidmoco.backbones.build import build_backbone, load_backbone, save_backbone
from vidmoco.errors import CheckpointError, ConfigError


@pytest.mark.parametrize(
    ("name", "size", "nearest"),
    [
        ("test_maxvit", 80, r"\(64 and 96 work\)"),  # its windows and strides make 32 px
        ("efficientformer_l1", 64, r"\(224 works\)"),  # its attention has one size
    ],
)
def test_a_size_that_does_not_work_names_the_nearest_that_do(name, size, nearest):
    with pytest.raises(ConfigError, match=rf"{name} cannot take inputs of {size} px.*{nearest}"):
        build_backbone(name, size=size)


@pytest.mark.parametrize("name", ["test_vit3", "test_maxvit", "test_vit_relpos", "test_byobnet"])
def test_a_saved_backbone_takes_another_size(name, tmp_path):
    """Whatever its position embeddings are: timm resizes them."""
    model = build_backbone(name, size=64).eval()
    save_backbone(model, tmp_path / "it", input_size=64, provenance={})
    for size in (96, 64):
        assert load_backbone(tmp_path / "it", size=size).num_features == model.num_features


def test_weights_that_timm_cannot_resize_say_their_size(tmp_path):
    model = build_backbone("gmlp_ti16_224", size=32).eval()
    save_backbone(model, tmp_path / "it", input_size=32, provenance={})
    with pytest.raises(ConfigError, match=r"--size \(32 works: timm cannot resize"):
        load_backbone(tmp_path / "it", size=64)


def test_dino_takes_a_size_that_is_not_its_own():
    model = load_backbone("random:vit_small_patch14_dinov2", size=56)
    assert model.patch_embed.img_size == (56, 56)
    with pytest.raises(ConfigError, match=r"patches of 14 px, .* Make --size 56 or 70"):
        load_backbone("random:vit_small_patch14_dinov2", size=64)


def test_small_crops_of_a_window_network():
    build_backbone("test_vit3", size=64, other_sizes=[32])
    with pytest.raises(ConfigError, match=r"test_maxvit cannot take inputs of 48 px.*small-size"):
        build_backbone("test_maxvit", size=64, other_sizes=[48])


def test_a_tag_that_timm_lacks():
    with pytest.raises(CheckpointError, match=r"Cannot load test_vit\.none"):
        load_backbone("test_vit.none")


def test_a_network_of_ones_own_that_does_not_take_what_timm_gives():
    def vidmoco_test_network(pretrained=False, num_classes=0):
        return nn.Conv2d(3, 8, 1)

    timm.models.register_model(vidmoco_test_network)
    with pytest.raises(
        ConfigError,
        match=r"cannot be created: .* take \*\*options\.",
    ):
        build_backbone("vidmoco_test_network", size=32)
