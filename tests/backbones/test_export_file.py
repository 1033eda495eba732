import builtins
from functools import partial
from pathlib import Path

import onnxruntime
import pytest
import timm
import torch
import torchvision
from published_files import resnet, transformer
from torch import nn

from vidmoco.backbones import export_file as module
from vidmoco.backbones.build import load_backbone, save_backbone
from vidmoco.backbones.export_file import export_file
from vidmoco.backbones.import_checkpoint import import_checkpoint
from vidmoco.cli.main import main as cli
from vidmoco.config.commands import ExportCommand, ImportCommand
from vidmoco.errors import ConfigError

# A transformer whose like torchvision has: timm's small one, made smaller.
TINY = {"img_size": 32, "depth": 2, "embed_dim": 48, "num_heads": 4}


@pytest.fixture
def folder(tmp_path):
    model = timm.create_model("resnet18", num_classes=0)
    model.load_state_dict({k: v for k, v in resnet().state_dict().items() if k[:3] != "fc."})
    save_backbone(model, tmp_path / "backbone", input_size=64, provenance={})
    return tmp_path / "backbone"


@pytest.fixture
def vit_folder(tmp_path):
    model = transformer(**TINY)
    save_backbone(model, tmp_path / "vit", input_size=32, provenance={})
    return tmp_path / "vit"


def features(backbone, size):
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        return backbone(images)


def alike(a, b):
    return a.std() > 0.01 and torch.allclose(a, b, atol=1e-4, rtol=1e-4)


def test_torchvision_loads_a_resnet(folder, tmp_path):
    file = export_file(ExportCommand(run=folder, to="torchvision", output=tmp_path / "r.pth"))
    model = torchvision.models.resnet18()
    model.fc = nn.Identity()
    model.load_state_dict(torch.load(file, weights_only=True))
    assert alike(features(model.eval(), 64), features(load_backbone(folder), 64))


def test_a_network_may_be_named_with_the_tag_of_its_weights(tmp_path, monkeypatch):
    backbone = timm.create_model("resnet18.a1_in1k", num_classes=0).eval()
    monkeypatch.setattr(module, "load_backbone", lambda source: backbone)
    command = ExportCommand(
        run=Path("resnet18.a1_in1k"), to="torchvision", output=tmp_path / "r.pth"
    )
    assert set(torch.load(export_file(command))) >= {"conv1.weight"}


def test_torchvision_loads_a_transformer(vit_folder, tmp_path):
    file = export_file(ExportCommand(run=vit_folder, to="torchvision", output=tmp_path / "v.pth"))
    model = torchvision.models.VisionTransformer(
        image_size=32, patch_size=16, num_layers=2, num_heads=4, hidden_dim=48, mlp_dim=192
    )
    model.heads = nn.Identity()
    model.load_state_dict(torch.load(file, weights_only=True))
    assert alike(features(model.eval(), 32), features(load_backbone(vit_folder), 32))


@pytest.mark.parametrize(("to", "prefix"), [("moco", "encoder_q"), ("moco_v3", "base_encoder")])
def test_the_authors_programs_find_what_they_look_for(to, prefix, folder, tmp_path):
    """What both papers' main_lincls do: strip the prefix, load all but the classifier."""
    file = export_file(ExportCommand(run=folder, to=to, output=tmp_path / "m.pth.tar"))
    content = torch.load(file, weights_only=True)
    assert content["arch"] == "resnet18"
    start = f"module.{prefix}."
    state = {k.removeprefix(start): v for k, v in content["state_dict"].items() if start in k}
    model = torchvision.models.resnet18()
    found = model.load_state_dict(state, strict=False)
    assert set(found.missing_keys) == {"fc.weight", "fc.bias"} and not found.unexpected_keys
    model.fc = nn.Identity()
    assert alike(features(model.eval(), 64), features(load_backbone(folder), 64))


@pytest.mark.parametrize("to", ["torchvision", "moco", "moco_v3"])
def test_out_and_in_again(to, folder, tmp_path):
    file = export_file(ExportCommand(run=folder, to=to, output=tmp_path / "x.pth"))
    back = import_checkpoint(ImportCommand(checkpoint=file, output=tmp_path / "back"))
    assert torch.equal(features(load_backbone(back), 64), features(load_backbone(folder), 64))


@pytest.mark.parametrize("which", ["folder", "vit_folder"])
def test_onnx_has_the_same_features(which, request, tmp_path):
    folder = request.getfixturevalue(which)
    file = export_file(ExportCommand(run=folder, to="onnx", output=tmp_path / "r.onnx"))
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    size = 64 if which == "folder" else 32
    for count in (1, 2, 5):
        images = torch.randn(count, 3, size, size)
        (found,) = session.run(["features"], {"images": images.numpy()})
        with torch.no_grad():
            assert alike(load_backbone(folder)(images), torch.from_numpy(found))
    assert sorted(path.name for path in tmp_path.glob("*r.onnx*")) == ["r.onnx"]


def test_onnx_asks_for_what_it_needs(folder, tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "onnxruntime":
            raise ImportError(name="onnxruntime")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"needs onnxruntime.*pip install 'vidmoco\[onnx\]'"):
        export_file(ExportCommand(run=folder, to="onnx", output=tmp_path / "r.onnx"))


def test_what_differs_is_not_written(folder, tmp_path, monkeypatch):
    def other(backbone, name, size):
        model = torchvision.models.resnet18()
        model.fc = nn.ReLU()  # no weights of its own
        model.relu = nn.LeakyReLU(0.5)
        model.layer1[0].relu = nn.LeakyReLU(0.5)
        return model

    monkeypatch.setattr(module, "_torchvision_model", other)
    with pytest.raises(ConfigError, match=r"gives other features .* nothing is written"):
        export_file(ExportCommand(run=folder, to="torchvision", output=tmp_path / "r.pth"))
    assert not list(tmp_path.glob("*r.pth*"))


def test_networks_that_torchvision_lacks(tmp_path):
    small = timm.create_model("vidmoco_resnet18_32px", num_classes=0)
    save_backbone(small, tmp_path / "s", input_size=32, provenance={})
    with pytest.raises(ConfigError, match=r"vidmoco_resnet18_32px cannot be exported.*--to onnx"):
        export_file(ExportCommand(run=tmp_path / "s", to="torchvision", output=tmp_path / "r.pth"))
    assert not (tmp_path / "r.pth").exists()


@pytest.mark.parametrize("name", ["test_efficientnet", "xcit_nano_12_p16_224"])
def test_blocks_of_another_kind_are_no_vision_transformer(name, tmp_path):
    save_backbone(timm.create_model(name), tmp_path / "b", input_size=224, provenance={})
    with pytest.raises(ConfigError, match=rf"{name} cannot be exported: torchvision has no"):
        export_file(ExportCommand(run=tmp_path / "b", to="torchvision", output=tmp_path / "r.pth"))


def test_an_unlike_resnet_is_refused(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "architecture_of", lambda folder: "resnet34")
    with pytest.raises(ConfigError, match=r"no network like resnet34: "):
        export_file(ExportCommand(run=folder, to="torchvision", output=tmp_path / "r.pth"))


def test_places_that_cannot_be_written(folder, tmp_path):
    (tmp_path / "r.pth").write_text("mine")
    there = ExportCommand(run=folder, to="moco", output=tmp_path / "r.pth")
    with pytest.raises(ConfigError, match=r"already exists.*--overwrite"):
        export_file(there)
    assert (tmp_path / "r.pth").read_text() == "mine"
    export_file(ExportCommand(run=folder, to="moco", output=tmp_path / "r.pth", overwrite=True))
    assert torch.load(tmp_path / "r.pth", weights_only=True)["arch"] == "resnet18"
    for overwrite in (True, False):
        (tmp_path / "videos").mkdir(exist_ok=True)
        there = ExportCommand(
            run=folder, to="moco", output=tmp_path / "videos", overwrite=overwrite
        )
        with pytest.raises(ConfigError, match="videos is a folder, and --to moco writes a file"):
            export_file(there)
    with pytest.raises(ConfigError, match="There is no folder"):
        export_file(ExportCommand(run=folder, to="moco", output=tmp_path / "no" / "r.pth"))


@pytest.mark.parametrize(
    ("flags", "what"),
    [
        ({"to": "timm"}, "needs a --name"),
        ({"to": "timm", "name": "x", "output": Path("y")}, "takes no --output"),
        ({"to": "moco"}, "needs -o FILE"),
        ({"to": "moco", "output": Path("y"), "name": "x"}, "no --name"),
    ],
)
def test_flags_that_do_not_go_together(flags, what, tmp_path):
    with pytest.raises(ConfigError, match=what):
        ExportCommand(run=tmp_path, **flags)


def test_the_command(folder, tmp_path, capsys):
    file = tmp_path / "r.pth"
    assert cli(["export", str(folder), "--to", "moco", "-o", str(file)]) == 0
    assert capsys.readouterr().out.strip() == str(file)
    assert cli(["export", "no/where", "--to", "moco", "-o", str(file)]) == 2
    assert "There is no backbone at no/where. Expected a run folder" in capsys.readouterr().err


def test_tolerance_is_of_the_features_size():
    def backbone(images):
        return 1000 * images.mean(dim=(2, 3))

    module._require_same_features(backbone, lambda x: backbone(x) + 1e-3, size=4, what="x")
    with pytest.raises(ConfigError, match="x gives other features"):
        module._require_same_features(backbone, lambda x: backbone(x) + 10, size=4, what="x")


def test_a_transformer_of_other_heads_is_no_moco_v3(tmp_path, vit_folder):
    with pytest.raises(ConfigError, match=r"build transformers of 12 heads, and .* has 4"):
        export_file(ExportCommand(run=vit_folder, to="moco_v3", output=tmp_path / "v.pth"))
    with pytest.raises(ConfigError, match=r"cannot be exported: the authors' programs build"):
        export_file(ExportCommand(run=vit_folder, to="moco", output=tmp_path / "v.pth"))
    twelve = transformer(**TINY | {"num_heads": 12})
    save_backbone(twelve, tmp_path / "twelve", input_size=32, provenance={})
    with pytest.raises(ConfigError, match=r"of 384 or 768 features, and .* has 48"):
        export_file(ExportCommand(run=tmp_path / "twelve", to="moco_v3", output=tmp_path / "v.pth"))


def written_for_moco_v3(model, folder):
    """What a backbone becomes, or the error; it is not saved first, which takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "load_backbone", lambda folder: model)
        patch.setattr(module, "architecture_of", lambda folder: "mine")
        command = ExportCommand(run=folder, to="moco_v3", output=folder / "v.pth")
        return torch.load(export_file(command), weights_only=True)


@pytest.mark.parametrize("learnt", [False, True])
def test_the_authors_transformer_gives_the_same_features(learnt, tmp_path):
    """As their main_lincls does: the arguments are those of their vits.py."""
    model = transformer("vidmoco_vit_small_moco_v3")
    if learnt:  # their position embedding is of the state dict, and so another one loads too
        model.pos_embed.data += torch.randn(1, 197, 384) / 10
    content = written_for_moco_v3(model, tmp_path)
    assert content["arch"] == "vit_small"
    start = "module.base_encoder."
    state = {k.removeprefix(start): v for k, v in content["state_dict"].items() if start in k}
    theirs = timm.models.VisionTransformer(
        patch_size=16,
        embed_dim=384,
        depth=12,
        num_heads=12,
        mlp_ratio=4,
        qkv_bias=True,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
    )
    found = theirs.load_state_dict(state, strict=False)
    assert set(found.missing_keys) == {"head.weight", "head.bias"} and not found.unexpected_keys
    theirs.head = nn.Identity()
    assert alike(features(theirs.eval(), 224), features(model, 224))


@pytest.mark.parametrize(
    ("name", "options", "what"),
    [
        (
            "vit_small_patch32_224",
            {},
            r"of another shape: pos_embed \(1, 50, 384\) for \(1, 197, 384\), patch_embed\.proj",
        ),
        ("vit_small_patch16_224", {"img_size": 64}, r"of another shape: pos_embed \(1, 17, 384\)"),
        ("vit_small_patch16_224", {"depth": 11}, r"missing: blocks\.11\.norm1\.weight"),
        ("vit_small_patch16_224", {"qkv_bias": False}, r"missing: blocks\.0\.attn\.qkv\.bias"),
        ("deit3_small_patch16_224", {}, r"left over: blocks\.0\.ls1\.gamma.* and 20 more"),
        (
            "vit_base_patch16_clip_224",
            {"embed_dim": 384},
            r"missing: patch_embed\.proj\.bias; left over: norm_pre\.weight, norm_pre\.bias; ",
        ),
        ("deit_small_distilled_patch16_224", {}, "left over: dist_token; "),
        (
            "beit_base_patch16_224",
            {"embed_dim": 384},
            r"missing: pos_embed, .*left over: blocks\.0\.gamma_1, .* and 58 more",
        ),
        ("vit_small_patch16_224", {"class_token": False, "global_pool": "avg"}, "missing: cls_"),
        # All keys and shapes are theirs here, and the features are not.
        ("vit_small_patch16_224", {"act_layer": "relu"}, "the authors' vit_small gives other"),
    ],
)
def test_what_the_authors_could_not_load_is_refused(name, options, what, tmp_path):
    model = timm.create_model(name, num_classes=0, num_heads=12, **options).eval()
    with pytest.raises(ConfigError, match=rf"{what}.*nothing is written"):
        written_for_moco_v3(model, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_resnet_of_other_activations_is_not_the_authors(tmp_path):
    model = timm.create_model("resnet18", num_classes=0, act_layer="silu")
    save_backbone(model, tmp_path / "b", input_size=64, provenance={})
    for to in ("moco", "moco_v3"):
        command = ExportCommand(run=tmp_path / "b", to=to, output=tmp_path / "r.pth")
        with pytest.raises(ConfigError, match="the authors' resnet18 gives other features"):
            export_file(command)
