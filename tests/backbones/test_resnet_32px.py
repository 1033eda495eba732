import json

import pytest
import timm
import torch

from vidmoco.backbones.build import build_backbone, load_backbone, save_backbone
from vidmoco.backbones.preprocess import preprocess_of, resize_and_crop


@pytest.mark.parametrize(("name", "dim"), [("vidmoco_resnet18_32px", 512)])
def test_the_stem_keeps_all_pixels(name, dim):
    torch.manual_seed(0)
    model = build_backbone(name, size=32, zero_init_residual=True).eval()
    seen = []
    model.layer1.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].shape))
    assert model(torch.randn(2, 3, 32, 32)).shape == (2, dim)
    assert seen == [(2, 64, 32, 32)]
    assert (model.conv1.kernel_size, model.conv1.stride) == ((3, 3), (1, 1))
    assert model.layer1[0].bn2.weight.abs().max() == 0


def test_weights_come_back(tmp_path):
    torch.manual_seed(0)
    model = build_backbone("vidmoco_resnet18_32px", size=32)
    save_backbone(model, tmp_path / "backbone", input_size=32, provenance={})
    config = json.loads((tmp_path / "backbone" / "config.json").read_text())
    assert config["architecture"] == "vidmoco_resnet18_32px"
    images = torch.randn(2, 3, 32, 32)
    loaded = load_backbone(tmp_path / "backbone")
    pictures = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    assert torch.equal(resize_and_crop(pictures, preprocess_of(loaded)), pictures)  # whole
    assert torch.equal(loaded(images), model.eval()(images))
    with pytest.raises(RuntimeError, match="no pretrained weights"):
        timm.create_model("vidmoco_resnet18_32px", pretrained=True)
