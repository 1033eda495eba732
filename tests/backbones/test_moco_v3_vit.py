import math
import subprocess
import sys
from itertools import pairwise

import pytest
import timm
import torch
from torch import nn

import vidmoco  # noqa: F401  (registers the names)
from vidmoco.backbones.build import build_backbone, load_backbone, save_backbone
from vidmoco.backbones.moco_v3_vit import position_embedding


def slow_position_embedding(size, dim):
    """The authors' definition, a number at a time: w is the slow axis."""
    rows = [[0.0] * dim]
    quarter = dim // 4
    for w in range(size):
        for h in range(size):
            row = []
            for place, wave in ((w, math.sin), (w, math.cos), (h, math.sin), (h, math.cos)):
                row += [wave(place / 10000 ** (i / quarter)) for i in range(quarter)]
            rows.append(row)
    return torch.tensor(rows)[None]


def test_position_embedding_is_the_papers():
    torch.testing.assert_close(
        position_embedding(3, 3, dim=8), slow_position_embedding(3, 8), rtol=1e-5, atol=1e-6
    )
    with pytest.raises(ValueError, match="multiple of 4"):
        position_embedding(3, 3, dim=6)


@pytest.mark.parametrize(
    ("name", "dim", "heads"),
    [("vidmoco_vit_small_moco_v3", 384, 12), ("vidmoco_vit_base_moco_v3", 768, 12)],
)
def test_transformers_are_the_papers(name, dim, heads):
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=0, img_size=32)
    assert (model.embed_dim, len(model.blocks)) == (dim, 12)
    assert {block.attn.num_heads for block in model.blocks} == {heads}
    assert model.blocks[0].norm1.eps == 1e-6
    assert not model.pos_embed.requires_grad
    torch.testing.assert_close(
        model.pos_embed.data, slow_position_embedding(2, dim), rtol=1e-5, atol=1e-6
    )
    block = model.blocks[3]
    # Xavier's bound, of one of the three matrices in qkv.
    for weight, fans in ((block.attn.qkv.weight, dim + dim), (block.mlp.fc1.weight, dim + 4 * dim)):
        bound = math.sqrt(6 / fans)
        assert 0.98 * bound < weight.abs().max() <= bound
        assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.01)
    bound = math.sqrt(6 / (3 * 16 * 16 + dim))
    assert 0.98 * bound < model.patch_embed.proj.weight.abs().max() <= bound
    assert model.cls_token.abs().max() < 1e-5
    assert model.patch_embed.proj.bias.abs().max() == block.attn.qkv.bias.abs().max() == 0


def test_there_are_no_weights_to_download():
    with pytest.raises(RuntimeError, match="no pretrained weights"):
        timm.create_model("vidmoco_vit_small_moco_v3", pretrained=True)


def test_a_saved_one_keeps_its_twelve_heads_without_vidmoco(tmp_path):
    torch.manual_seed(0)
    model = build_backbone("vidmoco_vit_small_moco_v3", size=32, freeze_patches=True)
    save_backbone(model, tmp_path / "backbone", input_size=32, provenance={})
    images = torch.randn(2, 3, 32, 32)
    torch.save(images, tmp_path / "images.pt")
    code = (
        "import timm, torch; "
        "model = timm.create_model('local-dir:backbone', pretrained=True).eval(); "
        "print(model.blocks[0].attn.num_heads); "
        "torch.save(model(torch.load('images.pt')).detach(), 'features.pt')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert done.stdout.strip() == "12"
    torch.testing.assert_close(torch.load(tmp_path / "features.pt"), model.eval()(images))


@pytest.mark.parametrize(
    ("name", "dim"),
    [("vidmoco_vit_conv_small_moco_v3", 384), ("vidmoco_vit_conv_base_moco_v3", 768)],
)
def test_a_stem_of_convolutions_takes_the_place_of_a_block(name, dim, tmp_path):
    model = build_backbone(name, size=32)
    assert len(model.blocks) == 11 and model.blocks[0].attn.num_heads == 12
    shapes = [tuple(m.weight.shape) for m in model.patch_embed.proj if isinstance(m, nn.Conv2d)]
    widths = [3, dim // 8, dim // 4, dim // 2, dim]
    expected = [(after, before, 3, 3) for before, after in pairwise(widths)]
    assert shapes == [*expected, (dim, dim, 1, 1)]
    assert all(p.requires_grad for p in model.patch_embed.parameters())
    assert not model.pos_embed.requires_grad
    model(torch.randn(4, 3, 32, 32))  # statistics of its own
    save_backbone(model, tmp_path / "it", input_size=32, provenance={})
    images = torch.randn(2, 3, 32, 32)
    loaded = load_backbone(tmp_path / "it")
    torch.testing.assert_close(loaded(images), model.eval()(images))
    assert load_backbone(tmp_path / "it", size=48)(torch.randn(1, 3, 48, 48)).shape == (1, dim)
