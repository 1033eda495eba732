from pathlib import Path

import pytest

from vidmoco.backbones.folder import backbone_folder, check_folder
from vidmoco.errors import CheckpointError, ConfigError


def test_a_run_a_folder_and_a_timm_name(trained):
    _, folder = trained
    for source in (folder.parent, str(folder.parent), folder, str(folder)):
        assert backbone_folder(source) == folder
    assert backbone_folder("resnet18") is None
    assert backbone_folder("hf-hub:timm/resnet18") is None
    assert check_folder(folder)["architecture"] == "resnet18"


def test_paths_where_nothing_is(tmp_path):
    for source in ("there/is/none", "./none", tmp_path / "none", Path("none")):
        with pytest.raises(ConfigError, match="no backbone at"):
            backbone_folder(source)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_folder_without_a_part(trained, name):
    _, folder = trained
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=f"has no {name}"):
        check_folder(folder)


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_damaged_config(trained, text):
    _, folder = trained
    (folder / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match="is damaged"):
        check_folder(folder)
