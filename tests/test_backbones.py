import json
import subprocess
import sys

import pytest
import timm
import torch

from vidmoco.backbones import (
    architecture_of,
    build_backbone,
    load_backbone,
    num_features_of,
    save_backbone,
    strided_at_one_pixel,
    weights_hash,
)
from vidmoco.errors import CheckpointError, ConfigError


def test_a_process_without_vidmoco_loads_bit_equal_features(trained, tmp_path):
    backbone, folder = trained
    images = torch.randn(2, 3, 32, 32)
    torch.save(images, tmp_path / "images.pt")
    code = f"""
import sys, timm, torch
torch.set_num_threads(1)  # as in the tests
model = timm.create_model("local-dir:{folder}", pretrained=True).eval()
with torch.inference_mode():
    torch.save(model(torch.load("{tmp_path}/images.pt")), "{tmp_path}/features.pt")
assert not any(name.partition(".")[0] == "vidmoco" for name in sys.modules)
print(model.pretrained_cfg["input_size"], tuple(model.pretrained_cfg["mean"]))
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert result.stdout.strip() == "(3, 32, 32) (0.485, 0.456, 0.406)"
    with torch.inference_mode():
        here = load_backbone(folder)(images)
        assert torch.equal(here, torch.load(tmp_path / "features.pt"))
        torch.testing.assert_close(here, backbone(images))  # in the training's memory format


def test_the_folder_says_where_the_weights_come_from(trained):
    _, folder = trained
    config = json.loads((folder / "config.json").read_text())
    assert config["architecture"] == "resnet18"
    assert config["vidmoco"] == {"method": "moco", "steps": 3}
    text = json.dumps(config)
    for of_timms_own_weights in ("a1_in1k", "origin_url", "license", "2110.00476"):
        assert of_timms_own_weights not in text


@pytest.mark.parametrize("where", ["run", "folder", "text"])
def test_load_backbone_takes_a_run_or_a_folder(trained, where):
    backbone, folder = trained
    source = {"run": folder.parent, "folder": folder, "text": str(folder)}[where]
    loaded = load_backbone(source)
    assert weights_hash(loaded) == weights_hash(backbone)
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())
    assert architecture_of(source) == "resnet18"
    assert weights_hash(load_backbone(source, pretrained=False)) != weights_hash(backbone)


def test_unknown_names_and_paths():
    with pytest.raises(ConfigError, match=r"Unknown backbone 'resnet19'.*Did you mean 'resnet1"):
        load_backbone("resnet19")
    for source in ("there/is/none", "./none"):
        with pytest.raises(ConfigError, match="no backbone at"):
            load_backbone(source)


def test_damaged_folders(trained, tmp_path):
    _, folder = trained
    weights = folder / "model.safetensors"
    assert weights.stat().st_mode == (folder / "config.json").stat().st_mode  # others may read it
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="Cannot load"):
        load_backbone(folder)
    weights.write_bytes(whole)
    config = folder / "config.json"
    text = config.read_text()
    config.write_text(text.replace('"resnet18"', '"resnet34"'))
    with pytest.raises(CheckpointError, match="Cannot load"):
        load_backbone(folder)
    config.write_text(text[:20])
    with pytest.raises(CheckpointError, match="damaged"):
        load_backbone(folder)
    config.unlink()
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        load_backbone(folder)


def test_weights_that_cannot_be_downloaded(monkeypatch):
    from huggingface_hub.errors import LocalEntryNotFoundError

    def offline(*_args, **_options):
        raise LocalEntryNotFoundError("cannot find the requested files in the local cache")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(
        CheckpointError, match=r"Cannot download the weights of resnet18.*--backbone"
    ):
        load_backbone("resnet18")


def test_build_backbone_starts_as_the_papers_do():
    plain = build_backbone("resnet18", size=64)
    zeroed = build_backbone("resnet18", size=64, zero_init_residual=True)
    assert (plain.layer1[0].bn2.weight == 1).all()
    assert (zeroed.layer1[0].bn2.weight == 0).all()
    assert num_features_of(plain) == 512
    with pytest.raises(ConfigError, match="for ResNets"):
        build_backbone("vit_tiny_patch16_224", size=64, zero_init_residual=True)


def test_a_vit_takes_the_size_of_the_views_or_says_why_not(tmp_path):
    vit = build_backbone("vit_tiny_patch16_224", size=32)
    assert vit(torch.zeros(1, 3, 32, 32)).shape == (1, 192)
    save_backbone(vit.eval(), tmp_path / "vit", input_size=32, provenance={})
    loaded = load_backbone(tmp_path / "vit")
    assert weights_hash(loaded) == weights_hash(vit)
    assert loaded(torch.zeros(1, 3, 32, 32)).shape == (1, 192)
    with pytest.raises(ConfigError, match=r"8 px.*--augment\.size"):
        build_backbone("inception_v3", size=8)


def test_where_a_stride_meets_one_pixel():
    backbone = build_backbone("resnet10t", size=32)
    assert strided_at_one_pixel(backbone, 16).startswith("layer4.0.")
    assert strided_at_one_pixel(backbone, 32) == ""
    assert backbone.training
    vit = build_backbone("vit_tiny_patch16_224", size=16)  # its one stride is on the picture
    assert strided_at_one_pixel(vit, 16) == ""
