import io
import pickle
from pathlib import Path

import pytest
import timm
import torch
from published_files import LAYOUTS, moco_v2, moco_v3_vit, prefixed, resnet, transformer
from rich.console import Console
from safetensors.torch import save_file
from timm.models.vision_transformer import checkpoint_filter_fn

from vidmoco.backbones.build import load_backbone
from vidmoco.backbones.folder import check_folder
from vidmoco.backbones.import_checkpoint import import_checkpoint, load_strictly
from vidmoco.backbones.preprocess import preprocess_of
from vidmoco.cli.main import main as cli
from vidmoco.config.commands import ImportCommand
from vidmoco.config.methods import SimCLRConfig
from vidmoco.errors import CheckpointError, ConfigError
from vidmoco.methods.build import build_method
from vidmoco.methods.protocol import Inputs


def brought_in(content, folder, **options):
    folder.mkdir(exist_ok=True)
    file = folder / "checkpoint.pth.tar"
    torch.save(content, file)
    console = Console(record=True, file=io.StringIO())
    command = ImportCommand(checkpoint=file, output=folder / "backbone", **options)
    return import_checkpoint(command, console=console), console.export_text()


def same_features(folder, trunk):
    side = getattr(getattr(trunk, "patch_embed", None), "img_size", (64,))[0]
    side = 224 if hasattr(trunk, "conv_proj") else side
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, found = trunk(images), load_backbone(folder)(images)
    assert expected.std() > 1e-3
    assert torch.allclose(expected, found, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", LAYOUTS)
def test_each_layout_gives_its_features(name, tmp_path):
    content, trunk = LAYOUTS[name]()
    folder, report = brought_in(content, tmp_path)
    same_features(folder, trunk)
    assert "missing  none" in report
    filter_ = "bicubic" if name in ("dino", "fast_moco") else "bilinear"
    assert check_folder(folder)["pretrained_cfg"]["interpolation"] == filter_


def test_timms_own_transformers_keep_their_filter(tmp_path):
    """DeiT's are resized by the bicubic one. MoCo v3's in DeiT's names are known by positions."""
    trunk = transformer("vit_base_patch16_224")
    folder, _ = brought_in({"model": trunk.state_dict()}, tmp_path)
    assert check_folder(folder)["pretrained_cfg"]["interpolation"] == "bicubic"


@pytest.mark.parametrize("name", ["moco_v2", "moco_v3_resnet", "fast_moco", "simsiam", "swav"])
def test_without_module(name, tmp_path):
    content, trunk = LAYOUTS[name]()
    holder = next((k for k in ("state_dict", "model") if k in content), None)
    state = content[holder] if holder else content
    bare = {key.removeprefix("module."): tensor for key, tensor in state.items()}
    folder, _ = brought_in({holder: bare} if holder else bare, tmp_path)
    same_features(folder, trunk)


def test_the_report_says_what_became_of_each_key(tmp_path):
    content, _ = moco_v2()
    folder, report = brought_in(content, tmp_path)
    assert report.splitlines() == [
        "layout   moco, 646 tensors",
        "encoder  resnet50, 23.5 M parameters",
        "used     318 tensors, each in its place",
        "dropped  322 encoder_k, 4 encoder_q, 1 queue, 1 queue_ptr",
        "missing  none",
        "images   normalised by mean 0.485 0.456 0.406, std 0.229 0.224 0.225",
    ]
    origin = check_folder(folder)["vidmoco"]
    assert origin["layout"] == "moco" and origin["imported_from"] == "checkpoint.pth.tar"
    assert len(origin["sha256"]) == 64


def test_the_key_encoder_by_its_prefix(tmp_path):
    content, trunk = moco_v2("resnet50")
    folder, _ = brought_in(content, tmp_path, prefix="module.encoder_k.")
    expected = trunk.state_dict()["conv1.weight"] + 1
    assert torch.equal(load_backbone(folder).state_dict()["conv1.weight"], expected)
    with pytest.raises(CheckpointError, match=r"No key .* begins with 'encoder_z\.'.*encoder_k"):
        brought_in(content, tmp_path, prefix="encoder_z", overwrite=True)


def test_unknown_heads_are_asked_for(tmp_path):
    state = prefixed(transformer("vit_tiny_patch16_224").state_dict(), "backbone.")
    content = {"state_dict": state | {"momentum_backbone.cls_token": torch.ones(1)}}
    with pytest.raises(ConfigError, match=r"Nothing in .* says how many heads .*--heads"):
        brought_in(content, tmp_path)
    folder, report = brought_in(content, tmp_path, heads=6)
    assert "6 heads (as given)" in report
    assert load_backbone(folder).blocks[0].attn.num_heads == 6
    assert timm.create_model(f"local-dir:{folder}", pretrained=True).blocks[0].attn.num_heads == 6


def test_heads_that_the_user_knows_better(tmp_path):
    content, _ = moco_v3_vit()
    folder, _ = brought_in(content, tmp_path, heads=6)
    assert load_backbone(folder).blocks[0].attn.num_heads == 6


@pytest.mark.parametrize("name", ["resnet50d", "convnext_atto", "test_efficientnet"])
def test_any_network_of_timms_by_name(name, tmp_path):
    trunk = timm.create_model(name, num_classes=0).eval()
    folder, _ = brought_in(trunk.state_dict(), tmp_path, architecture=name)
    assert check_folder(folder)["architecture"] == name
    same_features(folder, trunk)


def test_images_are_normalised_as_in_training(tmp_path):
    """Timm's transformers have 0.5; all papers here, and all our views, have ImageNet's numbers."""
    folder, _ = brought_in(LAYOUTS["moco_v3_vit"]()[0], tmp_path)
    prepared = preprocess_of(load_backbone(folder))
    assert prepared.mean == (0.485, 0.456, 0.406) and prepared.std == (0.229, 0.224, 0.225)


def test_timms_own_normalisation_is_told_and_can_be_given(tmp_path):
    state = transformer("vit_tiny_patch16_224").state_dict()
    folder, report = brought_in(state, tmp_path, heads=3)
    assert preprocess_of(load_backbone(folder)).mean == (0.485, 0.456, 0.406)
    flags = "--mean 0.5 0.5 0.5 --std 0.5 0.5 0.5"
    assert "timm's own weights of vit_tiny_patch16_224 have mean 0.5 0.5 0.5" in report
    assert flags in " ".join(report.split())
    words = ["import", tmp_path / "checkpoint.pth.tar", "-o", folder, "--heads", 3, "--overwrite"]
    assert cli([*map(str, words), *flags.split()]) == 0
    prepared = preprocess_of(load_backbone(folder))
    assert prepared.mean == prepared.std == (0.5, 0.5, 0.5)
    _, report = brought_in(state, tmp_path, heads=3, overwrite=True, mean=(0.5,) * 3)
    assert "note" not in report and "mean 0.5 0.5 0.5, std 0.229 0.224 0.225" in report
    # Weights of other tools, and networks whose own numbers are ImageNet's.
    for content in (LAYOUTS["moco_v3_vit"]()[0], resnet().state_dict()):
        assert "note" not in brought_in(content, tmp_path, overwrite=True)[1]


@pytest.mark.parametrize(
    ("flag", "values"), [("mean", (0.5, 0.5, 128.0)), ("std", (1.0, 0.0, 1.0))]
)
def test_a_normalisation_that_cannot_be(tmp_path, flag, values):
    with pytest.raises(ConfigError, match=f"--{flag} is .*three numbers"):
        ImportCommand(checkpoint=tmp_path / "a", output=tmp_path / "b", **{flag: values})


def test_what_maes_training_needs_is_dropped(tmp_path):
    trunk = transformer("vit_base_patch16_224")
    others = {"mask_token": torch.zeros(1, 1, 768), "decoder_pos_embed": torch.zeros(1, 197, 512)}
    others |= {"decoder_embed.weight": torch.zeros(512, 768), "decoder_pred.bias": torch.ones(768)}
    folder, report = brought_in({"model": trunk.state_dict() | others}, tmp_path)
    same_features(folder, trunk)
    dropped = "1 decoder_embed, 1 decoder_pos_embed, 1 decoder_pred, 1 mask_token"
    assert f"dropped  {dropped}" in report
    assert "note" not in report  # it holds none of timm's own weights


def test_dinov2_with_registers(tmp_path):
    """Its class token has a position of its own, which timm's network has not."""
    trunk = transformer("vit_small_patch14_reg4_dinov2", img_size=56)
    state = trunk.state_dict()
    first = torch.randn(1, 1, 384, generator=torch.Generator().manual_seed(0))
    state["register_tokens"] = state.pop("reg_token")
    state["pos_embed"] = torch.cat([first, state["pos_embed"]], dim=1)
    state["cls_token"] = state["cls_token"] - first
    state["mask_token"] = torch.zeros(1, 384)
    options = {"architecture": "vit_small_patch14_reg4_dinov2", "heads": 6}
    folder, report = brought_in(state, tmp_path, **options)
    same_features(folder, trunk)
    assert "dropped  1 mask_token" in report
    official = checkpoint_filter_fn(dict(state), trunk)
    found = load_backbone(folder).state_dict()
    assert all(torch.allclose(found[key], official[key]) for key in official)
    # Where the position is in the token already, only the name differs.
    renamed = trunk.state_dict()
    renamed["register_tokens"] = renamed.pop("reg_token")
    folder, _ = brought_in(renamed, tmp_path, overwrite=True, **options)
    same_features(folder, trunk)


def test_twelve_heads_are_not_six(tmp_path):
    content, _ = moco_v3_vit()
    with pytest.raises(ConfigError, match=r"has 12 heads .*, and vit_small_patch16_224 has 6"):
        brought_in(content, tmp_path, architecture="vit_small_patch16_224")
    assert not (tmp_path / "backbone").exists()
    folder, report = brought_in(content, tmp_path)
    assert "12 heads" in report and load_backbone(folder).blocks[0].attn.num_heads == 12
    # A loader that knows nothing of vidmoco gets them right too.
    assert timm.create_model(f"local-dir:{folder}", pretrained=True).blocks[3].attn.num_heads == 12


def test_six_heads_are_not_twelve(tmp_path):
    content, _ = LAYOUTS["dino"]()
    with pytest.raises(ConfigError, match=r"has 6 heads .*, and vidmoco_vit_small_moco_v3 has 12"):
        brought_in(content, tmp_path, architecture="vidmoco_vit_small_moco_v3")


def test_moco_v3_is_known_by_its_positions_in_any_file(tmp_path):
    _, report = brought_in(LAYOUTS["moco_v3_deit"]()[0], tmp_path)
    expected = (
        "encoder  vidmoco_vit_small_moco_v3 (config.json: vit_small_patch16_224), "
        "12 heads (its position embedding is MoCo v3's), "
    )
    assert expected in report


def moved(trunk):
    """The weights of a transformer whose position embedding was trained on."""
    state = trunk.state_dict()
    return state | {"pos_embed": state["pos_embed"] + 0.01 * torch.randn(1, 197, 384)}


@pytest.mark.parametrize("holder", ["model", "teacher", ""])
def test_twelve_heads_that_nothing_tells_are_asked_for(holder, tmp_path):
    state = moved(LAYOUTS["moco_v3_deit"]()[1])
    state = prefixed(state, "backbone.") if holder == "teacher" else state
    content = {holder: state} if holder else state
    name = "vit_small_patch16_224" if holder == "model" else None
    with pytest.raises(ConfigError, match=r"Nothing in .* says how many heads .*--heads"):
        brought_in(content, tmp_path, architecture=name)
    assert not (tmp_path / "backbone").exists()
    folder, report = brought_in(content, tmp_path, architecture=name, heads=12)
    assert "vit_small_patch16_224, 12 heads (as given)" in report
    assert load_backbone(folder).blocks[0].attn.num_heads == 12


def test_another_architecture_is_refused(tmp_path):
    state = resnet("resnet18").state_dict()
    with pytest.raises(CheckpointError, match=r"is not a resnet34: missing: layer1\.2"):
        brought_in(state, tmp_path, architecture="resnet34")
    with pytest.raises(CheckpointError, match=r"is not a resnet18: .*left over: extra\.weight"):
        brought_in(state | {"extra.weight": torch.ones(1)}, tmp_path)
    del state["layer4.1.bn2.running_mean"]
    with pytest.raises(CheckpointError, match=r"missing: layer4\.1\.bn2\.running_mean"):
        brought_in(state, tmp_path)
    assert not (tmp_path / "backbone").exists()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet18", {}),
        ("resnet18", {"architecture": "resnet18"}),
        ("vit_tiny_patch16_224", {"heads": 3}),
        ("convnext_atto", {"architecture": "convnext_atto"}),
    ],
)
def test_images_of_one_channel_are_refused(name, options, tmp_path):
    state = timm.create_model(name, num_classes=0, in_chans=1).state_dict()
    with pytest.raises(CheckpointError, match=r"pth\.tar needs 1 input channels \(3 are supported"):
        brought_in(state, tmp_path, **options)


def test_shapes_and_values_are_looked_at(tmp_path):
    state = resnet("resnet18").state_dict()
    wrong = state | {"layer2.0.bn1.weight": torch.ones(3)}
    with pytest.raises(CheckpointError, match=r"layer2\.0\.bn1\.weight has the shape \(3,\)"):
        brought_in(wrong, tmp_path)
    broken = state | {"layer2.0.bn1.weight": torch.full((128,), float("nan"))}
    with pytest.raises(CheckpointError, match=r"layer2\.0\.bn1\.weight has values that are not"):
        brought_in(broken, tmp_path)


@pytest.mark.parametrize(
    ("values", "what"),
    [
        (torch.ones(128).long(), r"is of torch\.int64, expected floating point"),
        (torch.ones(128).bool(), r"is of torch\.bool, expected floating point"),
        (torch.full((128,), -0.5), "is a variance and has negative values"),
        (
            torch.full((128,), 1e300, dtype=torch.float64),
            "has values that are not finite in float32",
        ),
    ],
)
def test_values_that_no_training_gives(values, what, tmp_path):
    state = resnet("resnet18").state_dict() | {"layer2.0.bn1.running_var": values}
    with pytest.raises(CheckpointError, match=rf"layer2\.0\.bn1\.running_var {what}"):
        brought_in(state, tmp_path)
    assert not (tmp_path / "backbone").exists()


def test_sparse_weights():
    layer = torch.nn.Linear(2, 2, bias=False)
    with pytest.raises(CheckpointError, match="weight is sparse, expected all values"):
        load_strictly(layer, {"weight": torch.eye(2).to_sparse()}, name="x", source="y")


def test_old_files_without_counters(tmp_path):
    state = {
        k: v for k, v in resnet().state_dict().items() if not k.endswith("num_batches_tracked")
    }
    _, report = brought_in(state, tmp_path)
    assert "missing  20 counters of batch norms" in report


def test_half_precision_becomes_float32(tmp_path):
    folder, _ = brought_in({k: v.half() for k, v in resnet().state_dict().items()}, tmp_path)
    assert load_backbone(folder).state_dict()["conv1.weight"].dtype == torch.float32


def test_safetensors(tmp_path):
    trunk = resnet()
    save_file(trunk.state_dict(), tmp_path / "model.safetensors")
    folder = import_checkpoint(
        ImportCommand(checkpoint=tmp_path / "model.safetensors", output=tmp_path / "b")
    )
    same_features(folder, trunk)


def test_what_is_there_stays(tmp_path):
    content = resnet().state_dict()
    brought_in(content, tmp_path)
    with pytest.raises(ConfigError, match=r"already exists.*--overwrite"):
        brought_in(content, tmp_path)
    brought_in(content, tmp_path, overwrite=True)


class _Runs:
    def __init__(self, what):
        self.what = what

    def __reduce__(self):
        return (exec, (self.what,))


def test_code_in_a_pickle_is_not_run(tmp_path):
    mark = tmp_path / "ran"
    content = {"state_dict": {"a": torch.ones(1), "b": _Runs(f"open({str(mark)!r}, 'w')")}}
    with pytest.raises(CheckpointError, match=r"holds more than weights: .*exec.*refused"):
        brought_in(content, tmp_path)
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps(_Runs(f"open({str(mark)!r}, 'w')")))
    with pytest.raises(CheckpointError):
        import_checkpoint(ImportCommand(checkpoint=tmp_path / "plain.pkl", output=tmp_path / "b"))
    assert not mark.exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_partial_downloads(suffix, tmp_path):
    whole, part = tmp_path / f"whole{suffix}", tmp_path / f"part{suffix}"
    state = resnet().state_dict()
    save_file(state, whole) if suffix == ".safetensors" else torch.save(state, whole)
    data = whole.read_bytes()
    for share in (0.0, 1e-6, 0.5, 0.999):
        part.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(CheckpointError, match=r"bytes\) cannot be read.*(empty|cut short)"):
            import_checkpoint(ImportCommand(checkpoint=part, output=tmp_path / "b"))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "pointer of Git LFS"),
        (b"\n<!DOCTYPE html><html>Not found</html>", "a web page"),
    ],
)
def test_what_is_no_checkpoint(content, what, tmp_path):
    (tmp_path / "file.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=what):
        import_checkpoint(ImportCommand(checkpoint=tmp_path / "file.pth", output=tmp_path / "b"))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ([1, 2], "list"),
        ({"epoch": 3}, "no weights by name, but 'epoch'"),
        (
            {"vocab.weight": torch.ones(2), "out.weight": torch.ones(2)},
            "The layout of .* is unknown",
        ),
    ],
)
def test_files_of_something_else(content, what, tmp_path):
    with pytest.raises(CheckpointError, match=what):
        brought_in(content, tmp_path)


def test_an_unknown_network_asks_for_its_name(tmp_path):
    state = timm.create_model("resnet26", num_classes=0).state_dict()
    with pytest.raises(ConfigError, match=r"conv1\.weight of .*--architecture"):
        brought_in(state, tmp_path)
    folder, _ = brought_in(state, tmp_path, architecture="resnet26")
    assert check_folder(folder)["architecture"] == "resnet26"


def test_a_prefix_that_all_keys_share_is_taken_off(tmp_path, capsys):
    """As a module that has the network as its ``model`` saves it."""
    resnet = timm.create_model("resnet18").state_dict()
    held = {f"net.model.{key}": value for key, value in resnet.items()}
    folder, _ = brought_in(held, tmp_path / "1")
    assert check_folder(folder)["architecture"] == "resnet18"
    convnext = timm.create_model("convnext_atto", num_classes=0).state_dict()
    held = {f"model.{key}": value for key, value in convnext.items()}
    with pytest.raises(ConfigError, match=r"behind 'model\.' has stem.* with --architecture\.$"):
        brought_in(held, tmp_path / "2")
    folder, _ = brought_in(held, tmp_path / "2", architecture="convnext_atto")
    assert check_folder(folder)["architecture"] == "convnext_atto"
    with pytest.raises(ConfigError) as caught:
        brought_in(held, tmp_path / "3", prefix="model.")
    assert str(caught.value).endswith("is unknown. Name timm's architecture with --architecture.")
    with pytest.raises(CheckpointError, match="is not a resnet34: missing"):
        brought_in({f"model.{key}": value for key, value in resnet.items()}, tmp_path / "4",
                   architecture="resnet34")  # fmt: skip


def test_a_module_of_lightning_that_trained_a_method_here(tmp_path):
    """As examples/lightning_module.py saves it."""
    trunk = timm.create_model("resnet18", num_classes=0)
    method = build_method(SimCLRConfig(dim=8), trunk, Inputs())
    state = prefixed(method.state_dict(), "method.")
    folder, report = brought_in({"state_dict": state, "epoch": 1}, tmp_path)
    same_features(folder, trunk.eval())
    assert "torchvision behind 'method.encoder.0.', " in report


@pytest.mark.parametrize("options", [{}, {"architecture": "resnet18"}, {"prefix": "net"}])
def test_the_only_encoder_is_found(options, tmp_path):
    state = prefixed(resnet("resnet18").state_dict(), "net.encoder.") | {"head.a": torch.ones(2)}
    _, report = brought_in({"state_dict": state}, tmp_path, **options)
    assert "behind 'net.encoder.'" in report


@pytest.mark.parametrize("outer", ["", "backbone."])
def test_of_several_encoders_one_is_asked_for(outer, tmp_path):
    two = {}
    for at in ("query", "key"):
        two |= prefixed(resnet("resnet18").state_dict(), f"{outer}{at}.net.")
    state = two | {"scale": torch.ones(2)}
    asked = rf"Behind --prefix {outer}key\.net\. or --prefix {outer}query\.net\. is an encoder"
    with pytest.raises(CheckpointError, match=asked):
        brought_in(state, tmp_path)
    with pytest.raises(CheckpointError, match=rf"begins with 'a\.'.*{asked}"):
        brought_in(state, tmp_path, prefix="a")
    brought_in(state, tmp_path, prefix=f"{outer}query.net")


@pytest.mark.parametrize(
    "name", ["model_state_dict", "state_dict_ema", "model_ema", "ema", "network", "net", "weights"]
)
def test_containers_of_other_tools(name, tmp_path):
    state = resnet("resnet18").state_dict()
    _, report = brought_in({name: state, "optimizer_state_dict": {}, "epoch": 3}, tmp_path)
    assert "used     120 tensors" in report and "note" not in report


def test_of_several_containers_the_report_says_which(tmp_path):
    trunk = resnet("resnet18").eval()
    averaged = {key: tensor + 1 for key, tensor in trunk.state_dict().items()}
    folder, report = brought_in({"model_ema": averaged, "state_dict": trunk.state_dict()}, tmp_path)
    told = " ".join(report.split())
    assert "note 'state_dict' of the file is taken, and not 'model_ema'." in told
    assert "torch.load(FILE)['model_ema'], NEW)" in told
    trunk.fc = torch.nn.Identity()
    same_features(folder, trunk)


def folder_of(path, names):
    path.mkdir()
    for name in names:
        (path / name).write_text("{}" if name == "config.json" else "mine")
    return path


@pytest.mark.parametrize(
    "names",
    [
        ["a.mp4", "b.mp4", "c.mp4", "d.mp4"],
        ["config.json"],
        ["config.json", "model.safetensors"],  # of another tool: no architecture
        ["config.json", "model.safetensors", "notes.txt"],
    ],
)
@pytest.mark.parametrize("overwrite", [True, False])
def test_a_folder_of_other_things_is_never_replaced(names, overwrite, tmp_path):
    folder = folder_of(tmp_path / "backbone", names)
    with pytest.raises(ConfigError, match=rf"other files than a backbone: '{names[0]}'.*another"):
        brought_in({}, tmp_path, overwrite=overwrite)
    assert sorted(path.name for path in folder.iterdir()) == names


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin", None])
def test_a_backbone_folder_or_an_empty_one_is_replaced(weights, tmp_path):
    folder = folder_of(tmp_path / "backbone", ["config.json", weights] if weights else [])
    if weights:
        (folder / "config.json").write_text('{"architecture": "resnet18"}')
    brought_in(resnet().state_dict(), tmp_path, overwrite=True)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_a_backbone_with_the_users_notes_is_not_replaced(tmp_path):
    folder, _ = brought_in(resnet().state_dict(), tmp_path)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"other files than a backbone: .*'notes\.txt'"):
        brought_in(resnet().state_dict(), tmp_path, overwrite=True)
    assert (folder / "notes.txt").read_text() == "mine"


def test_names_that_no_folder_can_have(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder_of(tmp_path / "x", ["file"])
    for output, what in (
        ("x/file", "is a file, and a backbone is written as a folder"),
        ("n" * 300, "cannot be written: File name too long"),
        (".", "cannot be replaced"),
    ):
        command = ImportCommand(checkpoint=Path("none"), output=Path(output), overwrite=True)
        with pytest.raises(ConfigError, match=what):
            import_checkpoint(command)
    assert (tmp_path / "x" / "file").read_text() == "mine"


def test_shapes_that_fit_nothing_are_one_line(tmp_path):
    odd = {"conv1.weight": torch.ones(64, 3, 7, 7), "layer1.0.conv2.weight": torch.ones(64)}
    with pytest.raises(ConfigError, match=r"whose architecture is unknown.*--architecture"):
        brought_in(odd, tmp_path)
    state = transformer().state_dict() | {"pos_embed": torch.ones(1, 0, 384)}
    with pytest.raises(CheckpointError, match=r"pos_embed has the shape \(1, 0, 384\), expected"):
        brought_in(state, tmp_path, heads=6)
    empty = resnet().state_dict() | {"bn1.weight": torch.ones(64, device="meta")}
    with pytest.raises(CheckpointError, match=r"bn1\.weight has a shape but no values"):
        brought_in(empty, tmp_path)


def test_heads_that_cannot_be(tmp_path):
    with pytest.raises(ConfigError, match=r"^--heads is for transformers, and resnet18 has no"):
        brought_in(resnet().state_dict(), tmp_path, heads=6)
    with pytest.raises(ConfigError, match=r"^--heads is 7, which does not divide the 384 features"):
        brought_in(transformer().state_dict(), tmp_path, heads=7)


def test_shapes_come_before_the_question_of_heads(tmp_path):
    state = transformer("vit_tiny_patch16_224").state_dict()
    expected = (
        r"not a vit_small_patch16_224: cls_token has the shape \(1, 1, 192\), expected \(1, 1, 384"
    )
    with pytest.raises(CheckpointError, match=expected):
        brought_in(state, tmp_path, architecture="vit_small_patch16_224")
    state = moved(transformer())
    with pytest.raises(ConfigError, match=r"Nothing in .* says how many heads .*--heads"):
        brought_in(state, tmp_path, architecture="vidmoco_vit_small_moco_v3")


def test_a_size_of_no_whole_patches_names_its_flag(tmp_path):
    with pytest.raises(ConfigError, match=r"patches of 16 px, and 230 px.* Make --size 224 or 240"):
        brought_in(transformer().state_dict(), tmp_path, heads=6, size=230)


def test_the_command(tmp_path, capsys):
    torch.save(resnet().state_dict(), tmp_path / "r.pth")
    assert cli(["import", str(tmp_path / "r.pth"), "-o", str(tmp_path / "b")]) == 0
    assert "timm.create_model('local-dir:" in capsys.readouterr().out
    assert cli(["import", str(tmp_path / "none.pth"), "-o", str(tmp_path / "c")]) == 2
    assert "No such file or folder" in capsys.readouterr().err
