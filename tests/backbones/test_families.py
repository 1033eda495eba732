"""Every family of timm: train two steps, save, load without vidmoco, and as docs/backbones.md says.

The list is the table of the documentation. Nothing is downloaded.
"""

import re
from contextlib import nullcontext
from pathlib import Path

import pytest
import timm
import torch

from vidmoco.backbones.build import build_backbone, load_backbone, save_backbone
from vidmoco.backbones.export_file import export_file
from vidmoco.backbones.feature_shape import num_features_of
from vidmoco.backbones.frozen import load_frozen
from vidmoco.backbones.preprocess import normalize
from vidmoco.backbones.undrawn import Undrawn
from vidmoco.config.commands import ExportCommand
from vidmoco.config.methods import SimCLRConfig
from vidmoco.errors import ConfigError
from vidmoco.methods.build import build_method
from vidmoco.methods.protocol import Inputs
from vidmoco.train.step import train_step

DOCS = Path(__file__).parents[2] / "docs" / "backbones.md"
ANY, RESIZED, KEPT = "any", "any, weights are resized", "that of the training"
ROW = r"^\| (.+?) \| `(\w+)` \| (\d+) \| (.+?) \| (.*?) \|$"
FAMILIES = {
    name: (int(size), rule, left_out)
    for _, name, size, rule, left_out in re.findall(ROW, DOCS.read_text(), re.MULTILINE)
}
QUICK = {"test_convnext", "test_efficientnet", "test_vit", "test_maxvit", "resnet10t"}
TORCHVISION = {"resnext50_32x4d", "vit_tiny_patch16_224"}
ZERO_INIT, FREEZE = "`zero-init-residual`", "`freeze-patches`"


def test_the_table_lists_the_families():
    assert len(FAMILIES) >= 80
    assert {rule for _, rule, _ in FAMILIES.values()} == {ANY, RESIZED, KEPT}
    assert set(FAMILIES) >= QUICK | TORCHVISION
    assert not set(FAMILIES) - set(timm.list_models())


def train(backbone, size):
    """Two steps of SimCLR with a small head."""
    inputs = Inputs(num_features=num_features_of(backbone))
    method = build_method(SimCLRConfig(dim=8), backbone, inputs).train()
    optimizer = torch.optim.SGD(method.parameters(), lr=1e-3)
    for step in range(2):
        train_step(
            method,
            optimizer,
            [torch.randn(2, 3, size, size) for _ in range(2)],
            source_ids=torch.arange(2),
            times=torch.zeros(2, 2, dtype=torch.float64),
            progress=step / 2,
            num_parts=1,
            clip_gradient=None,
            cast=nullcontext(),
        )


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in QUICK else pytest.mark.slow) for n in FAMILIES]
)
def test_a_network_is_trained_saved_and_loaded(name, tmp_path):
    size, rule, left_out = FAMILIES[name]
    torch.manual_seed(0)
    lines = []
    backbone = build_backbone(
        name, size=size, zero_init_residual=True, freeze_patches=True, tell=lines.append
    )
    told = " ".join(lines)
    assert [word for word in (ZERO_INIT, FREEZE) if word.strip("`") in told] == re.findall(
        r"`[\w-]+`", left_out
    )
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    train(backbone, size)
    trained = backbone.eval().state_dict()
    assert any(not torch.equal(trained[key], before[key]) for key in before)
    save_backbone(backbone, tmp_path / "it", input_size=size, provenance={})
    frozen = load_frozen(str(tmp_path / "it"))
    assert frozen.preprocess.size == size
    images = torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8)
    with torch.no_grad():
        with Undrawn():  # only to save time
            plain = timm.create_model(f"local-dir:{tmp_path / 'it'}", pretrained=True).eval()
        features = plain(normalize(images, frozen.preprocess))
        # Another memory format adds in another order.
        unit = features.abs().max()
        torch.testing.assert_close(
            frozen.features(images) / unit, features / unit, rtol=0, atol=1e-3
        )
        if rule == KEPT:
            with pytest.raises(ConfigError, match=rf"--size \({size} works"):
                load_backbone(tmp_path / "it", size=2 * size)
        else:
            larger = load_backbone(tmp_path / "it", size=2 * size)
            assert larger(torch.zeros(1, 3, 2 * size, 2 * size)).shape == (1, frozen.dim)
        if rule == ANY:
            assert plain(torch.zeros(1, 3, 2 * size, 2 * size)).shape == (1, frozen.dim)
    command = ExportCommand(run=tmp_path / "it", to="torchvision", output=tmp_path / "it.pth")
    try:
        export_file(command)  # it compares the features
    except ConfigError:
        assert name not in TORCHVISION
        assert not (tmp_path / "it.pth").exists()
