import shutil
import subprocess
import sys

import pytest
import timm
import torch

import vidmoco
from vidmoco.backbones import registry as named_backbones
from vidmoco.backbones.build import load_backbone, weights_hash
from vidmoco.backbones.moco_v3_vit import CONV_STEM, STOCK
from vidmoco.backbones.registry import export_backbone
from vidmoco.backbones.resnet_32px import RESNETS
from vidmoco.errors import CheckpointError, ConfigError
from vidmoco.lock import held


@pytest.fixture(autouse=True)
def user_folder(tmp_path, monkeypatch):
    entrypoints = timm.models._registry._model_entrypoints
    before = set(entrypoints)
    monkeypatch.setenv("VIDMOCO_HOME", str(tmp_path / "home"))
    yield tmp_path / "home" / "backbones"
    for name in set(entrypoints) - before:
        timm.models._registry._clear_model_entries(name)
        entrypoints.pop(name, None)


def test_export_gives_timm_a_name(trained, user_folder):
    backbone, folder = trained
    assert export_backbone(folder.parent, name="kitchen") == user_folder / "kitchen"
    assert "vidmoco_kitchen" in timm.list_models("vidmoco_*")
    loaded = timm.create_model("vidmoco_kitchen", pretrained=True)
    assert weights_hash(loaded) == weights_hash(backbone)
    fresh = timm.create_model("vidmoco_kitchen")
    assert weights_hash(fresh) != weights_hash(backbone)
    assert timm.create_model("vidmoco_kitchen", pretrained=True, num_classes=5)(
        torch.zeros(2, 3, 32, 32)
    ).shape == (2, 5)
    assert weights_hash(load_backbone("vidmoco_kitchen")) == weights_hash(backbone)
    with pytest.raises(ConfigError, match=r"already.*--overwrite"):
        export_backbone(folder, name="kitchen")
    export_backbone(folder, name="kitchen", overwrite=True)


def tuple_of(value):
    return tuple(value) if isinstance(value, list) else value


def test_timm_lists_its_trained_weights(trained, user_folder):
    backbone, folder = trained
    export_backbone(folder, name="kitchen")
    code = (
        "import vidmoco, timm; print(timm.list_models('vidmoco_*', pretrained=True),"
        "timm.list_pretrained('vidmoco_*'), timm.is_model_pretrained('vidmoco_kitchen'))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "['vidmoco_kitchen'] ['vidmoco_kitchen'] True"
    assert timm.is_model_pretrained("vidmoco_kitchen")  # in this process too
    listed = timm.get_pretrained_cfg("vidmoco_kitchen")
    assert listed.file == str(user_folder / "kitchen" / "model.safetensors")
    assert listed.architecture == "vidmoco_kitchen"
    loaded = timm.create_model("vidmoco_kitchen", pretrained=True)
    for name in ("mean", "std", "input_size", "crop_pct"):
        assert getattr(listed, name) == tuple_of(loaded.pretrained_cfg[name])
    assert weights_hash(loaded) == weights_hash(backbone)


def test_what_is_damaged_or_replaced_is_listed_as_it_is(trained, user_folder, tmp_path):
    _, folder = trained
    shutil.copytree(folder, tmp_path / "other")
    for found in (folder, tmp_path / "other"):
        vidmoco.register_backbone("mine", found)
        assert timm.get_pretrained_cfg("vidmoco_mine").file.startswith(str(found))
    export_backbone(folder, name="kitchen")
    (user_folder / "kitchen" / "config.json").write_text("{")
    named_backbones.register_exported_backbones()
    assert timm.is_model("vidmoco_kitchen") and not timm.is_model_pretrained("vidmoco_kitchen")


@pytest.mark.parametrize("first", ["timm", "vidmoco"])
def test_import_vidmoco_registers_whatever_is_imported_first(trained, user_folder, first):
    _, folder = trained
    export_backbone(folder, name="kitchen")
    second = "timm" if first == "vidmoco" else "vidmoco"
    code = f"import {first}; import {second}, timm; print(timm.list_models('vidmoco_*'))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == str(
        ["vidmoco_kitchen", *sorted([*STOCK, *CONV_STEM, *RESNETS])]
    )


@pytest.mark.parametrize("name", ["kitchen.a392dd73.part", "Kitchen-2", "vit_small_moco_v3"])
def test_a_folder_whose_name_cannot_be_used_does_no_harm(trained, user_folder, name):
    _, folder = trained
    export_backbone(folder, name="kitchen")
    shutil.copytree(folder, user_folder / name)
    code = "import vidmoco, timm; print(timm.list_models('vidmoco_*'))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == str(
        ["vidmoco_kitchen", *sorted([*STOCK, *CONV_STEM, *RESNETS])]
    )
    assert result.stderr == ""


def test_an_export_removes_what_a_killed_one_left(trained, user_folder):
    _, folder = trained
    shutil.copytree(folder, user_folder / "kitchen.a392dd73.part")
    export_backbone(folder, name="room")
    assert list(user_folder.iterdir()) == [user_folder / "room"]


def test_an_export_waits_for_another_one(trained, user_folder, monkeypatch):
    _, folder = trained
    left = user_folder / "kitchen.a392dd73.part"
    shutil.copytree(folder, left)
    monkeypatch.setattr(named_backbones, "SECONDS_TO_BE_ALONE", 0.0)
    with (
        held(user_folder, busy="", advice=""),
        pytest.raises(ConfigError, match="Another process exports to"),
    ):
        export_backbone(folder, name="room")
    assert left.exists()  # the other process writes it


def test_register_backbone_in_code(trained):
    _, folder = trained
    assert vidmoco.register_backbone("vidmoco_mine", folder) == "vidmoco_mine"
    assert timm.create_model("vidmoco_mine", pretrained=True).num_features == 512
    with pytest.raises(ConfigError, match="small letters"):
        vidmoco.register_backbone("My Net!", folder)


def test_a_run_is_its_backbone(trained, monkeypatch):
    _, folder = trained
    assert folder.name == "backbone"
    monkeypatch.chdir(folder.parent.parent)
    assert vidmoco.register_backbone("of_a_run", folder.parent.name) == "vidmoco_of_a_run"
    monkeypatch.chdir("/")
    assert weights_hash(load_backbone("vidmoco_of_a_run")) == weights_hash(trained[0])


def test_what_is_no_backbone_is_refused_at_once(tmp_path):
    with pytest.raises(ConfigError, match="There is no backbone at nowhere"):
        vidmoco.register_backbone("mine", "nowhere")
    with pytest.raises(CheckpointError, match=f"{tmp_path} is not a backbone folder"):
        vidmoco.register_backbone("mine", tmp_path)
    assert not timm.is_model("vidmoco_mine")


def test_a_name_that_is_given_again_is_that_of_the_new_folder(trained, tmp_path):
    _, folder = trained
    shutil.copytree(folder, tmp_path / "other")
    for found in (folder, tmp_path / "other"):
        vidmoco.register_backbone("mine", found)
    shutil.rmtree(folder)
    assert timm.create_model("vidmoco_mine", pretrained=True).num_features == 512


def test_a_name_of_timms_own_is_never_overwritten(trained, monkeypatch):
    _, folder = trained
    monkeypatch.setattr(named_backbones, "PREFIX", "")
    with pytest.raises(ConfigError, match="timm's own"):
        vidmoco.register_backbone("resnet18", folder)
    with pytest.raises(ConfigError, match="timm's own"):
        export_backbone(folder, name="resnet18")
    assert not named_backbones.user_backbone_folder().exists()  # nothing is written
    assert timm.create_model("resnet18").num_classes == 1000
