"""Features of painted videos, extracted once for all tests of this folder."""

from pathlib import Path

import pytest
import timm
import torch
from einops import rearrange
from painted_videos import paint, write_video

from vidmoco.backbones.build import save_backbone
from vidmoco.cli.main import main


@pytest.fixture(scope="session")
def painted_features(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A folder of videos, one of their features, and the backbone; do not write into them.

    ``x.mp4`` spells 100 …, ``deeper/y.ts`` 300 …; each has 24 frames at 10 a second.
    """
    folder = tmp_path_factory.mktemp("painted")
    write_video(folder / "videos" / "x.mp4", first_index=100, num_frames=24)
    write_video(folder / "videos" / "deeper" / "y.ts", first_index=300, num_frames=24)
    torch.manual_seed(0)
    model = timm.create_model("resnet18", num_classes=0, zero_init_last=False)
    model.pretrained_cfg = dict(model.pretrained_cfg)
    # Statistics of painted pictures, so that their features differ.
    pictures = torch.stack([torch.from_numpy(paint(97 * n, size=(32, 32))) for n in range(32)])
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
    model.train()(rearrange(pictures, "n h w c -> n c h w") / 127.5 - 1)
    save_backbone(model.eval(), folder / "backbone", input_size=32, provenance={})
    words = ["extract", folder / "videos", "-o", folder / "feats", "--backbone"]
    assert main([*map(str, words), str(folder / "backbone")]) == 0
    return folder / "videos", folder / "feats", folder / "backbone"
