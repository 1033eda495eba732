import json
from functools import partial

import huggingface_hub
import pytest
import timm
from huggingface_hub.errors import LocalEntryNotFoundError

from vidmoco.backbones.build import build_backbone, load_backbone
from vidmoco.errors import CheckpointError


@pytest.mark.parametrize("name", ["resnet18", "hf-hub:timm/resnet18.a1_in1k@main"])
def test_weights_that_cannot_be_downloaded(name, monkeypatch, capsys):
    """A minute of trials begins with a line that says what is waited for."""
    said = []

    def offline(*_args, **_options):
        said.append(capsys.readouterr().err)
        raise LocalEntryNotFoundError("cannot find the requested files in the local cache")

    monkeypatch.setattr(timm, "create_model", offline)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    with pytest.raises(
        CheckpointError, match=rf"Cannot download the weights of {name}.*--backbone"
    ):
        load_backbone(name)
    place = "timm/resnet18.a1_in1k of the Hugging Face Hub"
    assert said == [f"Downloading the weights of {name} from {place} …\n"]


def test_a_download_is_announced_once(monkeypatch, capsys):
    def offline(*_args, **options):
        if "img_size" in options:  # a ResNet has no such argument, and is tried without
            raise TypeError("unexpected keyword argument 'img_size'")
        raise LocalEntryNotFoundError("cannot find the requested files in the local cache")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(CheckpointError, match=r"\(of pretrain: --backbone\.weights"):
        build_backbone("resnet18.a1_in1k", size=32)
    assert capsys.readouterr().err.count("Downloading the weights") == 1


def test_weights_in_the_cache_are_not_downloaded(monkeypatch, tmp_path, capsys):
    snapshot = tmp_path / "models--timm--resnet18.a1_in1k" / "snapshots" / "0"
    snapshot.mkdir(parents=True)
    (snapshot / "pytorch_model.bin").touch()
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("0")
    honest = huggingface_hub.try_to_load_from_cache
    monkeypatch.setattr(
        huggingface_hub, "try_to_load_from_cache", partial(honest, cache_dir=tmp_path)
    )
    made = build_backbone("test_resnet", size=32)
    monkeypatch.setattr(timm, "create_model", lambda *_, **__: made)
    load_backbone("resnet18")
    assert capsys.readouterr().err == ""


def test_a_name_that_is_none_is_one_line(capsys):
    with pytest.raises(CheckpointError, match="hf-hub:a//b"):
        load_backbone("hf-hub:a//b")


def test_the_config_of_a_model_of_the_hub_is_checked_too(tmp_path, monkeypatch):
    hostile = {"architecture": "resnet10t", "pretrained_cfg": {"input_size": [3, 20_000, 20_000]}}
    (tmp_path / "config.json").write_text(json.dumps(hostile))
    asked = []

    def download(name, file, *, revision):
        asked.append((name, file, revision))
        return tmp_path / file

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    with pytest.raises(CheckpointError, match=r"hf-hub:a/b@v1 has no .*input_size is"):
        load_backbone("hf-hub:a/b@v1")
    assert asked == [("a/b", "config.json", "v1")]
