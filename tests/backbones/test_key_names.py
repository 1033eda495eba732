import pytest
import torchvision
from published_files import resnet

from vidmoco.backbones.key_names import few_of, timm_names, torchvision_names

VIT = torchvision.models.VisionTransformer(
    image_size=32, patch_size=16, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=16
)


def test_torchvisions_names_there_and_back():
    keys = [key for key in VIT.state_dict() if not key.startswith("heads.")]
    names = timm_names(keys)
    assert len(set(names.values())) == len(keys)
    assert torchvision_names(names.values()) == {name: key for key, name in names.items()}


def test_older_torchvision_named_the_mlp_otherwise():
    new = "encoder.layers.encoder_layer_1.mlp.{}.weight"
    names = timm_names(
        [new.format(part) for part in ("linear_1", "linear_2", "0", "3")] + ["conv_proj.bias"]
    )
    assert names[new.format("linear_1")] == names[new.format("0")] == "blocks.1.mlp.fc1.weight"
    assert names[new.format("linear_2")] == names[new.format("3")] == "blocks.1.mlp.fc2.weight"


def test_dinov2s_names():
    keys = ["blocks.3.mlp.w12.bias", "blocks.10.mlp.w3.weight", "register_tokens", "cls_token"]
    expected = ["blocks.3.mlp.fc1.bias", "blocks.10.mlp.fc2.weight", "reg_token", "cls_token"]
    assert list(timm_names(keys).values()) == expected


def test_resnets_keep_their_names():
    keys = list(resnet().state_dict())
    assert timm_names(keys) == {key: key for key in keys} == torchvision_names(keys)


@pytest.mark.parametrize("stages", [(4, 5, 6, 7), (3, 4, 5, 6)])
def test_numbers_become_names(stages):
    keys = ["0.weight", "1.bias"] + [f"{stage}.0.conv1.weight" for stage in stages] + ["9.bias"]
    assert list(timm_names(keys).values()) == [
        "conv1.weight",
        "bn1.bias",
        *(f"layer{n}.0.conv1.weight" for n in (1, 2, 3, 4)),
        "fc.bias",
    ]


def test_other_numbers_stay():
    assert timm_names(["0.weight", "2.weight"]) == {"0.weight": "0.weight", "2.weight": "2.weight"}


def test_the_first_few():
    assert few_of("missing", []) == ""
    assert few_of("missing", ["a", "b"]) == "missing: a, b; "
    assert few_of("left over", list("abcdef")) == "left over: a, b, c, d … and 2 more; "
