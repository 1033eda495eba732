import pytest
import timm
import torch
from torch import nn

from vidmoco.backbones import trial
from vidmoco.backbones.build import build_backbone, load_backbone, save_backbone
from vidmoco.backbones.trial import require_savable
from vidmoco.errors import ConfigError


def test_what_is_tried_does_not_change():
    backbone = build_backbone("test_resnet", size=32)
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    state = torch.get_rng_state()
    require_savable(backbone, name="test_resnet", input_size=32)
    assert backbone.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], x) for name, x in backbone.state_dict().items())


def test_shared_memory_is_saved_apart(tmp_path):
    backbone = build_backbone("coat_lite_tiny", size=32)
    require_savable(backbone, name="coat_lite_tiny", input_size=32)
    tied = build_backbone("test_resnet", size=32)
    weight = next(tied.parameters()).data
    tied.register_buffer("again", weight)
    tied.register_buffer("part", weight[1:])  # other data_ptr, the same memory
    save_backbone(tied, tmp_path / "b", input_size=32, provenance={})
    assert (tmp_path / "b" / "model.safetensors").is_file()


def test_a_backbone_that_cannot_be_loaded_is_not_trained(monkeypatch):
    backbone = build_backbone("test_resnet", size=32)
    backbone.extra = nn.Linear(2, 2)  # no folder says that it is there
    with pytest.raises(ConfigError, match=r"training of x would end in vain: .*extra"):
        require_savable(backbone, name="x", input_size=32)
    del backbone.extra

    def other(folder):
        return load_backbone("random:test_resnet")

    monkeypatch.setattr(trial, "load_backbone", other)
    with pytest.raises(ConfigError, match="gives other features"):
        require_savable(backbone, name="x", input_size=32)


def test_a_hybrid_is_loaded_without_the_network(tmp_path, monkeypatch):
    """Timm would fetch weights of the ResNet inside."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    name = "vit_small_resnet26d_224"
    backbone = build_backbone(name, size=32)
    require_savable(backbone, name=name, input_size=32)
    save_backbone(backbone, tmp_path / "b", input_size=32, provenance={})
    with pytest.raises(Exception, match="Hub"):
        timm.create_model(f"local-dir:{tmp_path / 'b'}", pretrained=True)
