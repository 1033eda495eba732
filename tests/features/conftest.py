import pytest
import timm
import torch

from vidmoco.backbones.build import save_backbone


@pytest.fixture(scope="session")
def backbone(tmp_path_factory):
    """The folder of an untrained ResNet-18 for 32 px."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("run") / "backbone"
    model = timm.create_model("resnet18", num_classes=0)
    model.pretrained_cfg = dict(model.pretrained_cfg)
    save_backbone(model.eval(), folder, input_size=32, provenance={})
    return folder
