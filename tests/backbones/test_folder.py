import pytest

from vidmoco.backbones.folder import check_folder, holds_only_a_backbone, weights_file
from vidmoco.errors import CheckpointError


def test_either_file_of_weights_will_do(trained):
    _, folder = trained
    assert check_folder(folder)["architecture"] == "resnet18"
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert check_folder(folder)["architecture"] == "resnet18"
    assert weights_file(folder).name == "pytorch_model.bin"


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


def test_a_run_that_has_not_ended_is_called_so(tmp_path):
    (tmp_path / "config.yaml").touch()
    with pytest.raises(CheckpointError, match=r"a run that has not written .* --run .* --resume"):
        check_folder(tmp_path)


def test_weights_without_a_config_can_be_imported(tmp_path):
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(CheckpointError, match=r"vidmoco import .*/pytorch_model\.bin -o FOLDER"):
        check_folder(tmp_path)


def test_what_would_be_deleted_with_a_backbone(trained, tmp_path):
    _, folder = trained
    assert holds_only_a_backbone(folder)
    (folder / "notes.txt").write_text("mine")
    assert not holds_only_a_backbone(folder)
    assert not holds_only_a_backbone(tmp_path)
    (folder / "notes.txt").unlink()
    (folder / "config.json").write_text('{"of": "another tool"}')
    assert not holds_only_a_backbone(folder)
