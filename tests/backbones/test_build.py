import json
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
from full_disk import no_file_larger_than

from vidmoco.backbones.build import (
    architecture_of,
    build_backbone,
    load_backbone,
    save_backbone,
    strided_at_one_pixel,
    weights_hash,
)
from vidmoco.backbones.feature_shape import num_features_of
from vidmoco.backbones.preprocess import preprocess_of
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
print(tuple(model.pretrained_cfg["input_size"]), tuple(model.pretrained_cfg["mean"]))
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


def test_build_backbone_starts_as_the_papers_do():
    plain = build_backbone("resnet18", size=64)
    zeroed = build_backbone("resnet18", size=64, zero_init_residual=True)
    assert (plain.layer1[0].bn2.weight == 1).all()
    assert (zeroed.layer1[0].bn2.weight == 0).all()
    assert num_features_of(plain) == 512


def test_what_does_not_apply_to_a_network_is_left_out_with_a_line():
    lines = []
    build_backbone("test_vit", size=32, zero_init_residual=True, tell=lines.append)
    build_backbone("test_resnet", size=32, freeze_patches=True, tell=lines.append)
    build_backbone("test_resnet", size=32, zero_init_residual=True, tell=lines.append)
    build_backbone("test_vit", size=32, freeze_patches=True, tell=lines.append)
    with pytest.raises(ConfigError, match="Unknown backbone"):  # and nothing of it is left out
        build_backbone("vit_nope", size=32, zero_init_residual=True, tell=lines.append)
    assert lines == [
        "--backbone.zero-init-residual is left out: it is for ResNets, not test_vit.",
        "--backbone.freeze-patches is left out: test_resnet has no patch embedding.",
    ]


def test_a_vit_takes_the_size_of_the_views_or_says_why_not(tmp_path):
    vit = build_backbone("vit_tiny_patch16_224", size=32)
    assert vit(torch.zeros(1, 3, 32, 32)).shape == (1, 192)
    save_backbone(vit.eval(), tmp_path / "vit", input_size=32, provenance={})
    loaded = load_backbone(tmp_path / "vit")
    assert weights_hash(loaded) == weights_hash(vit)
    assert loaded(torch.zeros(1, 3, 32, 32)).shape == (1, 192)
    with pytest.raises(ConfigError, match=r"8 px.*--augment\.size"):
        build_backbone("inception_v3", size=8)


@pytest.mark.parametrize(
    ("size", "others", "what"),
    [
        (40, [], r"and 40 px are .* Make --augment\.size 32 or 48,"),
        (8, [], r"and 8 px are .* Make --augment\.size 16,"),
        (32, [40], r"and 40 px are .* Make --augment\.small-size \(.*\) 32 or 48,"),
    ],
)
def test_views_of_no_whole_patches_are_refused(size, others, what):
    """Where timm would leave out the rest of the view."""
    with pytest.raises(ConfigError, match=rf"^vit_tiny_patch16_224 cuts .* of 16 px, {what}"):
        build_backbone("vit_tiny_patch16_224", size=size, other_sizes=others)


def test_only_patches_of_a_fixed_size_must_be_whole():
    build_backbone("test_vit", size=48, other_sizes=[32])
    build_backbone("resnet10t", size=45, other_sizes=[33])
    build_backbone("pvt_v2_b0", size=45)  # its patches overlap, and are padded
    with pytest.raises(ConfigError, match=r"of 8 px: .*Change --augment\.small-size"):
        build_backbone("inception_v3", size=96, other_sizes=[8])


def test_heads_for_a_network_that_has_none_or_others():
    with pytest.raises(ConfigError, match=r"^--heads is for transformers, and resnet10t has"):
        build_backbone("resnet10t", size=32, num_heads=6)
    with pytest.raises(ConfigError, match=r"^--heads is 5, which .* 192 features .*timm's has 3"):
        build_backbone("vit_tiny_patch16_224", size=32, num_heads=5)


def test_without_room_the_backbone_before_stays(tmp_path):
    model = build_backbone("test_resnet", size=32).eval()
    save_backbone(model, tmp_path / "it", input_size=32, provenance={})
    before = {file: file.read_bytes() for file in (tmp_path / "it").iterdir()}
    with (
        no_file_larger_than(10_000),
        pytest.raises(ConfigError, match=r"it cannot be written: File too large.*, then wait\.$"),
    ):
        save_backbone(model, tmp_path / "it", input_size=32, provenance={}, advice=", then wait.")
    assert {file: file.read_bytes() for file in (tmp_path / "it").iterdir()} == before
    assert len(list(tmp_path.iterdir())) == 1


def test_where_a_stride_meets_one_pixel():
    backbone = build_backbone("resnet10t", size=32)
    assert strided_at_one_pixel(backbone, 16).startswith("layer4.0.")
    assert strided_at_one_pixel(backbone, 32) == ""
    assert backbone.training
    vit = build_backbone("vit_tiny_patch16_224", size=16)  # its one stride is on the picture
    assert strided_at_one_pixel(vit, 16) == ""


def folder_of(name, tmp_path, *, safe=True, size=64):
    """A folder as timm's own ``save_for_hf`` writes it, with a classifier."""
    model = timm.create_model(name, num_classes=7, img_size=size)
    timm.models.save_for_hf(model, str(tmp_path / "hub"), safe_serialization=safe)
    return str(tmp_path / "hub"), model.eval()


@pytest.mark.parametrize("safe", [True, False])
def test_a_training_starts_from_a_folder_of_timm_at_another_size(safe, tmp_path):
    source, theirs = folder_of("test_vit3", tmp_path, safe=safe)
    assert (tmp_path / "hub" / "pytorch_model.bin").exists() != safe
    lines = []
    model = build_backbone("test_vit3", size=32, weights=source, tell=lines.append)
    assert lines == [f"The backbone starts from the weights of {source}."]
    ours = model.state_dict()
    kept = {key for key in ours if torch.equal(ours[key], theirs.state_dict().get(key, ours[key]))}
    assert set(ours) - kept == set() or all("pos_embed" in key for key in set(ours) - kept)
    by_name = build_backbone(source, size=32).state_dict()
    assert all(torch.equal(by_name[key], ours[key]) for key in ours)
    same_size = build_backbone("test_vit3", size=64, weights=source).eval()
    images = torch.randn(2, 3, 64, 64)
    theirs.reset_classifier(0)
    torch.testing.assert_close(same_size(images), theirs(images))


def test_a_pickle_that_runs_code_is_not_run(tmp_path):
    source, _ = folder_of("test_vit3", tmp_path, safe=False)
    ran = tmp_path / "ran"

    class Bomb:
        def __reduce__(self):
            return (Path.touch, (ran,))

    torch.save({"weight": Bomb()}, tmp_path / "hub" / "pytorch_model.bin")
    for load in (load_backbone, lambda one: build_backbone("test_vit3", size=32, weights=one)):
        with pytest.raises(CheckpointError, match="holds more than weights"):
            load(source)
    assert not ran.exists()


def test_the_heads_start_as_without_weights(trained):
    def number(**options):
        torch.manual_seed(0)
        build_backbone("resnet18", size=32, **options)
        return torch.rand(1).item()

    assert number() == number(weights=str(trained[1]))


@pytest.mark.parametrize(
    ("name", "options", "what"),
    [
        ("resnet34", {}, r"of a resnet18, and --backbone.name is resnet34: missing: layer1\.2"),
        ("vidmoco_resnet18_32px", {}, r"of another shape: conv1\.weight"),
        ("resnet18", {"act_layer": "silu"}, "the shapes are equal, but not the features"),
    ],
)
def test_weights_of_another_network_are_refused(name, options, what, trained, tmp_path):
    source = trained[1]
    if options:
        source = tmp_path / "other"
        other = timm.create_model("resnet18", num_classes=0, **options)
        save_backbone(other, source, input_size=32, provenance={})
    with pytest.raises(ConfigError, match=what):
        build_backbone(name, size=32, weights=str(source))


def test_random_weights_are_no_start(trained):
    with pytest.raises(ConfigError, match=r"--backbone.weights is 'random:.*names no weights"):
        build_backbone("resnet18", size=32, weights=f"random:{trained[1]}")
    fresh = build_backbone(f"random:{trained[1]}", size=32)
    assert weights_hash(fresh) != weights_hash(trained[0])


def test_tensors_of_several_names_are_saved_under_each(tmp_path):
    model = build_backbone("test_resnet", size=32).eval()
    model.layer1[0].bn2.weight = model.layer1[0].bn1.weight
    save_backbone(model, tmp_path / "it", input_size=32, provenance={})
    assert weights_hash(load_backbone(tmp_path / "it")) == weights_hash(model)


def test_a_saved_backbone_says_the_filter_of_our_views(tmp_path):
    """Timm's own weights of most networks were trained with the bicubic one, our views are not."""
    for name in ("resnet10t", "test_vit"):
        model = build_backbone(name, size=32)
        save_backbone(model, tmp_path / name, input_size=32, provenance={})
        assert preprocess_of(load_backbone(tmp_path / name)).interpolation == "bilinear"


@pytest.mark.parametrize("name", ["resnet10t", "vit_tiny_patch16_224", "convnext_atto"])
def test_a_folder_says_nothing_that_timm_knows(name, tmp_path):
    """Transformers' AutoModel gives the same arguments, and takes none twice."""
    backbone = build_backbone(name, size=32)
    save_backbone(backbone, tmp_path / "b", input_size=32, provenance={})
    args = json.loads((tmp_path / "b" / "config.json").read_text())["model_args"]
    assert not args.keys() & {"num_classes", "in_chans", "global_pool"}
    images = torch.randn(2, 3, 32, 32)
    loaded = timm.create_model(f"local-dir:{tmp_path / 'b'}", pretrained=True).eval()
    # As transformers does it.
    bare = timm.create_model(name, num_classes=0, **args).eval()
    bare.load_state_dict(loaded.state_dict())
    with torch.no_grad():
        assert torch.equal(loaded(images), backbone.eval()(images))
        assert torch.equal(bare(images), loaded(images))


def test_another_pooling_stays(tmp_path):
    backbone = timm.create_model("vit_tiny_patch16_224", num_classes=0, global_pool="avg")
    save_backbone(backbone, tmp_path / "b", input_size=224, provenance={})
    args = json.loads((tmp_path / "b" / "config.json").read_text())["model_args"]
    assert args["global_pool"] == "avg"
