import json

import numpy as np
import pytest
import timm
import torch

import vidmoco
from vidmoco.backbones.preprocess import Preprocess
from vidmoco.config.methods import MoCoConfig
from vidmoco.errors import ConfigError, TrainingError
from vidmoco.methods.build import build_method
from vidmoco.methods.protocol import Inputs


@pytest.fixture
def network():
    return timm.create_model("test_resnet", num_classes=0)


def test_a_backbone_of_a_loop_goes_back_into_vidmoco(tmp_path, monkeypatch):
    backbone = timm.create_model("resnet18", num_classes=0)  # timm's own weights have a tag
    method = build_method(MoCoConfig(queue_size=64), backbone, Inputs(num_features=512))
    assert type(method.backbone.bn1).__name__ == "SplitBatchNorm2d"  # MoCo's default
    images = torch.randn(8, 3, 64, 64)
    method.backbone(images)  # running statistics
    monkeypatch.chdir(tmp_path)
    folder = vidmoco.save_backbone(method.backbone, "kitchen", size=64)
    assert str(folder) == "kitchen" and method.backbone.training
    config = json.loads((folder / "config.json").read_text())
    assert config["pretrained_cfg"]["tag"] == "vidmoco"
    assert not {"url", "hf_hub_id", "license", "origin_url"} & config["pretrained_cfg"].keys()
    assert config["vidmoco"] == {"vidmoco_version": vidmoco.__version__}
    frozen = vidmoco.load_frozen("kitchen")
    assert frozen.preprocess == Preprocess(
        size=64,
        crop_pct=0.875,
        interpolation="bilinear",
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    )
    with torch.no_grad():
        expected = method.backbone.eval()(images)
        torch.testing.assert_close(frozen.backbone(images), expected, rtol=1e-4, atol=1e-5)
    frames = np.zeros((2, 80, 100, 3), np.uint8)
    assert vidmoco.embed(frames, backbone="kitchen")[0].shape == (2, 512)


def test_the_same_folder_can_be_written_again_and_others_are_kept(network, tmp_path):
    vidmoco.save_backbone(network, tmp_path / "b", size=32)
    (tmp_path / "empty").mkdir()
    vidmoco.save_backbone(network, tmp_path / "empty", size=32)
    torch.nn.init.zeros_(next(network.parameters()))
    vidmoco.save_backbone(network.bfloat16(), str(tmp_path / "b"), size=32)
    first = next(vidmoco.load_backbone(tmp_path / "b").parameters())
    assert first.dtype == torch.float32 and not first.any()
    (tmp_path / "b" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"holds other files than a backbone.*Name another"):
        vidmoco.save_backbone(network, tmp_path / "b", size=32)
    with pytest.raises(ConfigError, match="is a file, and a backbone is a folder"):
        vidmoco.save_backbone(network, tmp_path / "b" / "notes.txt", size=32)


def test_what_could_not_be_loaded_again_is_not_written(network, tmp_path):
    def refused(backbone, message, kind=ConfigError):
        with pytest.raises(kind, match=message):
            vidmoco.save_backbone(backbone, tmp_path / "b", size=32)
        assert not (tmp_path / "b").exists()

    refused(timm.create_model("test_resnet"), "has a classifier of 1000 classes.*num_classes=0")
    refused(torch.nn.Linear(2, 2), "is of type Linear; expected a model of timm")
    network.extra = torch.nn.Linear(2, 2)
    refused(network, r"Nothing is written to .*extra.*Keep the weights by torch\.save")
    network.extra.weight.data[0, 0] = float("nan")
    refused(network, r"extra\.weight are not finite", TrainingError)


def test_a_size_that_the_network_does_not_take(tmp_path):
    network = timm.create_model("test_vit3", num_classes=0)  # 160 px
    with pytest.raises(ConfigError, match=r"^size is 96, .* of 3 x 96 x 96: .* such as 160,"):
        vidmoco.save_backbone(network, tmp_path / "b", size=96)
    assert vidmoco.save_backbone(network, tmp_path / "b", size=160).is_dir()
