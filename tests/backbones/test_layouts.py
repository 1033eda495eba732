import pytest
import torch
from published_files import LAYOUTS as FILES

from vidmoco.backbones.layouts import find_encoder
from vidmoco.errors import CheckpointError

EXPECTED = {
    "moco_v1": "moco",
    "moco_v2": "moco",
    "moco_cifar_demo": "moco",
    "moco_v3_resnet": "moco_v3",
    "moco_v3_vit": "moco_v3",
    "moco_v3_deit": "torchvision",
    "mmselfsup_resnet": "mmselfsup",
    "mmselfsup_vit": "mmselfsup",
    "torchvision_resnet": "torchvision",
    "torchvision_vit": "torchvision",
}


@pytest.mark.parametrize("name", FILES)
def test_each_file_is_known_for_what_it_is(name):
    content, trunk = FILES[name]()
    encoder = find_encoder(content, source="x")
    assert encoder.layout == EXPECTED.get(name, name)
    assert len(encoder.weights) + sum(encoder.dropped.values()) == encoder.num_keys
    backbone = {k for k in trunk.state_dict() if not k.startswith(("fc.", "head"))}
    assert len(encoder.weights) == len(backbone)


def test_the_weights_are_the_querys_and_the_teachers():
    for name in ("moco_v2", "moco_v3_vit", "fast_moco", "solo_learn", "dino"):
        content, trunk = FILES[name]()
        weights = find_encoder(content, source="x").weights
        first = next(k for k in trunk.state_dict() if k in weights)
        assert torch.equal(weights[first], trunk.state_dict()[first]), name


def test_a_teacher_is_dinos_by_its_last_layer_alone():
    content, _ = FILES["dino"]()
    teacher = content["teacher"]
    without = {key: value for key, value in teacher.items() if "last_layer" not in key}
    for state, layout in ((teacher, "dino"), (without, "teacher")):
        encoder = find_encoder(content | {"teacher": state}, source="x")
        assert encoder.layout == layout and len(encoder.weights) == 150


def test_compiled_and_parallel():
    content, _ = FILES["moco_v1"]()
    state = {
        wrapped: tensor
        for key, tensor in content["state_dict"].items()
        for wrapped in (key.replace("module.", "module._orig_mod."), f"_orig_mod.{key}")
    }
    for start in ("module._orig_mod.", "_orig_mod.module."):
        some = {key: tensor for key, tensor in state.items() if key.startswith(start)}
        assert len(some) == len(content["state_dict"])
        assert find_encoder({"state_dict": some}, source="x").layout == "moco"


def test_the_first_moco_v3_of_mmselfsup():
    _, trunk = FILES["torchvision_resnet"]()
    state = {f"base_encoder.0.{k}": v for k, v in trunk.state_dict().items()}
    state |= {f"momentum_encoder.0.{k}": v + 1 for k, v in trunk.state_dict().items()}
    state |= {"base_encoder.1.fc0.weight": torch.ones(2, 2)}
    encoder = find_encoder({"state_dict": state}, source="x")
    assert encoder.layout == "mmselfsup" and "conv1.weight" in encoder.weights


def test_a_checkpoint_of_a_training_here():
    content = {"step": 3, "method": {"queue": torch.ones(2)}}
    content |= {name: torch.ones(2) for name in ("augment_generator", "torch_generator")}
    with pytest.raises(CheckpointError, match=r"x is a checkpoint of vidmoco\. It needs no import"):
        find_encoder(content, source="x")


def test_keys_of_any_network_where_one_is_named():
    state = {"stem.weight": torch.ones(2, 2), "stem.bias": torch.ones(2)}
    with pytest.raises(CheckpointError, match="The layout of x is unknown"):
        find_encoder(state, source="x")
    assert find_encoder(state, wanted=state.keys(), source="x").weights.keys() == state.keys()


def test_the_old_mmselfsup_kept_the_neck_in_the_encoder():
    _, trunk = FILES["torchvision_resnet"]()
    body = {f"encoder_q.0.{k}": v for k, v in trunk.state_dict().items()}
    state = body | {"encoder_q.1.mlp.0.weight": torch.ones(2, 2), "queue": torch.ones(2)}
    encoder = find_encoder({"state_dict": state}, source="x")
    assert encoder.layout == "mmselfsup" and "conv1.weight" in encoder.weights
    assert encoder.dropped == {"encoder_q": 1, "queue": 1}


def test_an_empty_prefix_takes_all():
    content, _ = FILES["torchvision_resnet"]()
    assert find_encoder(content, prefix="", source="x").layout == "as given"


@pytest.mark.parametrize("content", [{}, {"state_dict": {}}, "text", {"state_dict": {"a": 3}}])
def test_nothing_there(content):
    with pytest.raises(CheckpointError, match="holds no weights by name"):
        find_encoder(content, source="x")


def test_a_tensor_that_claims_more_values_than_the_file_has():
    """The positions of 10^12 patches would be computed to compare them."""
    content = {"patch_embed.proj.weight": torch.zeros(384, 3, 16, 16),
               "pos_embed": torch.zeros(1).expand(1, 10**12 + 1, 384)}  # fmt: skip
    with pytest.raises(CheckpointError, match=r"pos_embed claims the shape .*fewer values"):
        find_encoder(content, source="it")
