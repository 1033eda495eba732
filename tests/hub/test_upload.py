import json

import pytest
import timm
import torch
import yaml
from huggingface_hub import constants

from vidmoco.backbones.build import build_backbone, load_backbone, save_backbone
from vidmoco.cli.main import main

# huggingface_hub's own, of what it asks httpx.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
TO = ["--to", "hub:alice/kitchen", "--license", "cc-by-nc-4.0"]


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    backbone = build_backbone("test_resnet", size=32).eval()
    save_backbone(backbone, tmp_path / "mine", input_size=32, provenance={"method": "simclr"})
    return tmp_path / "mine"


def error_of(words, capsys):
    assert main(["export", *map(str, words)]) == 2
    said = capsys.readouterr()
    (line,) = said.err.strip().splitlines()
    assert said.out == ""
    return line


def test_up_and_down_again(fake_hub, folder, capsys):
    assert main(["export", str(folder), *TO, "--private"]) == 0
    url, advice = capsys.readouterr().out.splitlines()
    assert url == f"{fake_hub.endpoint}/alice/kitchen"
    assert advice == "import timm; timm.create_model('hf-hub:alice/kitchen', pretrained=True)"
    assert fake_hub.commits == [["README.md", "config.json", "model.safetensors"]]
    assert fake_hub.private == {"alice/kitchen": True}
    card = fake_hub.files["alice/kitchen"]["README.md"].decode()
    assert yaml.safe_load(card.split("---\n")[1])["license"] == "cc-by-nc-4.0"

    timms = timm.create_model("hf-hub:alice/kitchen", pretrained=True).eval()
    ours = load_backbone("hf-hub:alice/kitchen")
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = load_backbone(folder)(images)
        assert torch.equal(timms(images), expected) and torch.equal(ours(images), expected)
    assert main(["export", "hf-hub:alice/kitchen", "--to", "moco", "-o", "x/y"]) == 2
    assert "no folder x to write" in capsys.readouterr().err


def test_a_repository_that_is_there(fake_hub, folder, capsys):
    fake_hub.files["alice/kitchen"] = {".gitattributes": b""}  # made in the browser
    assert main(["export", str(folder), *TO]) == 0
    capsys.readouterr()
    assert "alice/kitchen already exists. Add --overwrite" in error_of([folder, *TO], capsys)
    assert main(["export", str(folder), *TO, "--overwrite"]) == 0
    capsys.readouterr()
    assert len(fake_hub.commits) == 2
    fake_hub.files["alice/kitchen"] = {"tokenizer.json": b"{}"}
    line = error_of([folder, *TO, "--overwrite"], capsys)
    assert "vidmoco has not written it: it holds 'tokenizer.json'" in line
    assert fake_hub.files["alice/kitchen"] == {"tokenizer.json": b"{}"}


def test_tokens(fake_hub, folder, monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", "hf_mallory")
    assert "does not know the token. Log in with `hf auth login`" in error_of([folder, *TO], capsys)
    monkeypatch.delenv("HF_TOKEN")
    assert "There is no token of the Hugging Face Hub. Log in" in error_of([folder, *TO], capsys)
    assert fake_hub.files == {}


@pytest.mark.parametrize("exists", [False, True])
def test_no_right_to_write(exists, fake_hub, folder, capsys):
    if exists:
        fake_hub.files["bob/kitchen"] = {}
    line = error_of([folder, "--to", "hub:bob/kitchen", "--license", "mit"], capsys)
    assert "The token may not write to bob/kitchen: You " in line and "hf auth login" in line


def test_metadata_that_the_hub_refuses(fake_hub, folder, capsys):
    fake_hub.metadata_error = '"license" must be one of [mit]'
    line = error_of([folder, *TO], capsys)
    assert 'refuses alice/kitchen: Invalid metadata in README.md. - "license" must be one' in line
    assert fake_hub.commits == []


def test_no_network(fake_hub, folder, monkeypatch, capsys):
    fake_hub.server.server_close()
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    line = error_of([folder, *TO], capsys)
    assert "The Hugging Face Hub cannot be reached: " in line and "hf upload alice/kitchen" in line
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE forbids the network" in error_of([folder, *TO], capsys)


def test_what_breaks_off_between_repository_and_commit_is_repeated(fake_hub, folder, capsys):
    real = fake_hub.commit
    fake_hub.commit = lambda *_: (500, {"error": "Internal"}, {})
    assert "refuses alice/kitchen: Internal. Fix that" in error_of([folder, *TO], capsys)
    assert fake_hub.files == {"alice/kitchen": {}}
    fake_hub.commit = real
    assert main(["export", str(folder), *TO]) == 0
    assert json.loads(fake_hub.files["alice/kitchen"]["config.json"])["num_classes"] == 0


def test_what_is_public_is_not_taken_for_private(fake_hub, folder, capsys):
    assert main(["export", str(folder), *TO]) == 0
    capsys.readouterr()
    words = [folder, *TO, "--overwrite", "--private"]
    assert "alice/kitchen is public" in error_of(words, capsys)
    assert len(fake_hub.commits) == 1
    fake_hub.private["alice/kitchen"] = True
    assert main(["export", *map(str, words)]) == 0
