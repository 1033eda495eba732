import pytest
import timm

from vidmoco.backbones.first_layers import prefixes_of_encoders, where_encoders_are

RESNET = ["conv1.weight", "layer1.0.conv1.weight", "layer1.0.conv2.weight"]


@pytest.mark.parametrize(
    "name", ["resnet18", "resnet50d", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224",
             "convnext_atto", "efficientnet_b0", "mobilenetv3_small_050"]
)  # fmt: skip
@pytest.mark.parametrize("prefix", ["", "net.encoder."])
def test_an_encoder_is_found_behind_any_words(name, prefix):
    keys = [f"{prefix}{key}" for key in timm.create_model(name).state_dict()]
    assert prefixes_of_encoders([*keys, "head.weight", "criterion.conv1.weight"]) == [prefix]


def test_only_whole_words_are_a_prefix():
    assert prefixes_of_encoders([f"my{key}" for key in RESNET]) == []


def test_what_a_message_says():
    two = [f"{at}.{key}" for at in ("a.q", "a.k") for key in RESNET]
    expected = "Behind --prefix x.a.k. or --prefix x.a.q. is an encoder."
    assert where_encoders_are(two, at="x.") == expected
    said = where_encoders_are(["stem.w", "body.w", "c"])
    assert said == "Its first keys are 'stem.w' and 'body.w'."


def test_the_keys_of_a_network():
    keys = [f"net.{key}" for key in ("a.weight", "body.weight")]
    assert prefixes_of_encoders(keys, {"a.weight", "body.weight"}) == ["net."]
    assert prefixes_of_encoders(keys, {"a.weight", "body.bias"}) == []
