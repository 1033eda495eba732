"""Backbone folders of strangers: each loads, or is refused in words, and none takes the machine."""

import json
import os
import socket

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from vidmoco.backbones.build import build_backbone, load_backbone, save_backbone
from vidmoco.backbones.folder_config import MAX_SIDE
from vidmoco.backbones.frozen import load_frozen
from vidmoco.errors import CheckpointError, VidmocoError

SIZES = {"resnet10t": 32, "test_vit": 160}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    for name, size in SIZES.items():
        save_backbone(
            build_backbone(name, size=size), folder / name, input_size=size, provenance={}
        )
    return folder


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def connect(*_):
        raise AssertionError("a name in a folder reached the network")

    monkeypatch.setattr(socket.socket, "connect", connect)


def hostile(saved, to, *, of="resnet10t", **changes):
    """Make a folder with other values at keys such as ``model_args__layers``."""
    config = json.loads((saved / of / "config.json").read_text())
    for key, value in changes.items():
        *sections, last = key.split("__")
        target = config
        for section in sections:
            target = target.setdefault(section, {})
        target[last] = value
    to.mkdir(exist_ok=True)
    (to / "config.json").write_text(json.dumps(config))
    if not (to / "model.safetensors").exists():
        os.link(saved / of / "model.safetensors", to / "model.safetensors")
    return to


# Each was a traceback, minutes, or all memory.
REFUSED = [
    ("resnet10t", {"architecture": ["resnet18"]}, "architecture is .* expected timm's name"),
    ("resnet10t", {"architecture": "hf-hub:timm/resnet18"}, "architecture is"),
    ("resnet10t", {"architecture": "local-dir:/etc"}, "architecture is"),
    ("resnet10t", {"architecture": "resnet152"}, "larger network than its weights"),
    ("resnet10t", {"architecture": "resnet18"}, "not of the network that it describes"),
    ("resnet10t", {"num_classes": "x"}, "num_classes is 'x'"),
    ("resnet10t", {"model_args": None}, "model_args is None"),
    ("resnet10t", {"pretrained_cfg": None}, "pretrained_cfg is None"),
    ("resnet10t", {"model_args__foo": 1}, "timm cannot build .* argument 'foo'"),
    ("resnet10t", {"model_args__pretrained": True}, "no argument of a network"),
    ("resnet10t", {"model_args__checkpoint_path": "/etc/passwd"}, "no argument of a network"),
    ("resnet10t", {"model_args__pretrained_cfg_overlay": {"url": "x"}}, "no argument of a network"),
    ("resnet10t", {"model_args__layers": [10**5] * 4}, "larger network than its weights"),
    ("resnet10t", {"model_args__layers": "x"}, "timm cannot build"),
    ("resnet10t", {"model_args__stem_width": 10**9}, "model_args.stem_width is"),
    ("resnet10t", {"model_args__stem_width": 10**5}, "larger network than its weights"),
    ("resnet10t", {"model_args__in_chans": "3"}, "timm cannot build"),
    ("resnet10t", {"model_args__norm_layer": "os.system"}, "timm cannot build .* KeyError"),
    ("resnet10t", {"model_args__block_args": [[[[[1]]]]]}, "model_args.block_args is"),
    ("test_vit", {"model_args__depth": 10**5}, "larger network than its weights"),
    ("test_vit", {"model_args__embed_dim": 10**6}, "larger network than its weights|cannot build"),
    ("test_vit", {"model_args__patch_size": 1}, "not of the network that it describes"),
    ("test_vit", {"model_args__img_size": 20_000}, f"img_size is .*up to {MAX_SIDE:,}"),
    ("test_vit", {"model_args__num_heads": 0}, "timm cannot build .* ZeroDivisionError"),
    ("resnet10t", {"pretrained_cfg__input_size": [3, 20_000, 20_000]}, "input_size is"),
    ("resnet10t", {"pretrained_cfg__input_size": [3, 32]}, "input_size is"),
    ("resnet10t", {"pretrained_cfg__mean": ["a", "b", "c"]}, "mean is"),
    ("resnet10t", {"pretrained_cfg__std": [0, 0, 0]}, "std is"),
    ("resnet10t", {"pretrained_cfg__crop_pct": 1e-9}, "crop_pct is"),
    ("resnet10t", {"pretrained_cfg__first_conv": 5}, "first_conv is"),
    ("resnet10t", {"pretrained_cfg__label_offset": 5}, "Cannot load"),
    ("resnet10t", {"pretrained_cfg__fixed_input_size": True}, "timm cannot build .* 'img_size'"),
    ("resnet10t", {"pretrained_cfg__state_dict": {"a": 1}}, "unknown key 'state_dict'"),
]


@pytest.mark.parametrize(("of", "changes", "message"), REFUSED)
def test_a_config_that_is_refused(of, changes, message, saved, tmp_path):
    with pytest.raises(CheckpointError, match=f"(?s){message}") as caught:
        load_frozen(str(hostile(saved, tmp_path / "it", of=of, **changes)))
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("url", "http://127.0.0.1:9/x"),
        ("hf_hub_id", "timm/resnet18.a1_in1k"),
        ("file", "/etc/passwd"),
        ("source", "hf-hub"),
        ("custom_load", True),
        ("custom_load", "hf"),
    ],
)
@pytest.mark.parametrize("pickled", [False, True])
def test_no_other_place_of_weights_counts(key, value, pickled, saved, tmp_path):
    own = load_file(saved / "resnet10t" / "model.safetensors")
    folder = hostile(saved, tmp_path / "it", **{f"pretrained_cfg__{key}": value})
    if pickled:
        (folder / "model.safetensors").unlink()
        torch.save(own, folder / "pytorch_model.bin")
    loaded = load_backbone(folder)
    assert torch.equal(loaded.state_dict()["conv1.0.weight"], own["conv1.0.weight"])


@pytest.mark.parametrize("text", ["[" * 10**5, "\0" * 99, "[]", "5", '{"architecture": NaN}'])
def test_what_is_no_config(text, saved, tmp_path):
    folder = hostile(saved, tmp_path / "it")
    (folder / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"config\.json is damaged"):
        load_backbone(folder)


def test_a_config_of_timm_before_0_8(saved, tmp_path):
    """All of it was the ``pretrained_cfg``."""
    folder = hostile(saved, tmp_path / "it")
    config = json.loads((folder / "config.json").read_text())
    flat = {"architecture": "resnet10t", "num_features": 512, "labels": ["a"]}
    (folder / "config.json").write_text(json.dumps(flat | config["pretrained_cfg"]))
    assert load_backbone(folder).num_features == 512


def test_weights_without_a_tensor(saved, tmp_path):
    folder = hostile(saved, tmp_path / "it")
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    save_file({"conv1.0.weight": state["conv1.0.weight"]}, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="Cannot load"):
        load_backbone(folder)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.sampled_from([0, 1, 2, 3, 10**5, 1e300, float("nan"), -1, "", "\x1b[31m", "x" * 5000]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
KEYS = (
    "architecture num_classes num_features global_pool model_args pretrained_cfg model_args__layers"
    " model_args__in_chans model_args__global_pool model_args__stem_width model_args__block"
    " model_args__act_layer model_args__output_stride model_args__drop_rate model_args__aa_layer"
    " pretrained_cfg__input_size pretrained_cfg__mean pretrained_cfg__std pretrained_cfg__crop_pct"
    " pretrained_cfg__interpolation pretrained_cfg__first_conv pretrained_cfg__classifier"
    " pretrained_cfg__num_classes pretrained_cfg__label_offset pretrained_cfg__fixed_input_size"
    " pretrained_cfg__crop_mode pretrained_cfg__test_input_size pretrained_cfg__pool_size"
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(st.sampled_from(KEYS.split()), VALUES, min_size=1, max_size=2))
@pytest.mark.filterwarnings("ignore")
def test_any_value_loads_or_is_refused_in_words(changes, saved, tmp_path):
    changes = dict(sorted(changes.items(), key=lambda item: "__" in item[0]))
    if not all(isinstance(changes.get(key, {}), dict) for key in ("model_args", "pretrained_cfg")):
        changes = {key: value for key, value in changes.items() if "__" not in key}
    try:
        load_frozen(str(hostile(saved, tmp_path / "it", **changes)))
    except VidmocoError as error:
        assert len(str(error)) < 2000
