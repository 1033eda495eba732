import json

import pytest
import timm
import torch
import yaml
from PIL import Image
from report_material import make_run, results, row, write_json

from vidmoco.backbones.build import build_backbone, load_backbone, save_backbone, weights_hash
from vidmoco.cli.main import main
from vidmoco.config.commands import ExportCommand
from vidmoco.config.recipe import load_recipe
from vidmoco.errors import ConfigError
from vidmoco.hub.export import export_to_hub

FILES = ["README.md", "config.json", "model.safetensors", "recipe.yaml", "training.png"]


@pytest.fixture
def run(tmp_path):
    folder = make_run(tmp_path / "my run", load_recipe("moco_v2"))
    torch.manual_seed(0)
    backbone = build_backbone("test_resnet", size=32).eval()
    about = {"steps": 30, "num_videos": 7, "recipe": "moco_v2"}
    save_backbone(backbone, folder / "backbone", input_size=32, provenance=about)
    measured = row("run1") | {"weights_hash": weights_hash(load_backbone(folder))}
    write_json(folder / "results.json", results(measured))
    return folder


def export(run, output, **more):
    return export_to_hub(ExportCommand(run=run, to="hf-folder", output=output, **more))


def card_of(folder):
    return (folder / "README.md").read_text()


def test_timm_loads_the_folder(run, tmp_path, capsys):
    words = ["export", str(run), "--to", "hf-folder", "-o", str(tmp_path / "out")]
    assert main([*words, "--license", "mit"]) == 0
    folder, advice = capsys.readouterr().out.splitlines()
    assert folder == str(tmp_path / "out") and f"'local-dir:{folder}'" in advice
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES
    images = torch.randn(2, 3, 32, 32)
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    with torch.no_grad():
        assert torch.equal(model(images), load_backbone(run)(images))
    card = card_of(tmp_path / "out")
    found = yaml.safe_load(card.split("---\n")[1])
    assert found["license"] == "mit" and found["model-index"][0]["name"] == "my-run"
    assert "hf-hub:USER/my-run" in card and str(tmp_path) not in card
    with Image.open(tmp_path / "out" / "training.png") as picture:
        assert picture.size[0] == 1520
    text = (tmp_path / "out" / "recipe.yaml").read_text()
    assert str(tmp_path) not in text and "USER/my-run" in text


def test_a_backbone_folder_of_no_run(run, tmp_path):
    (run / "backbone").rename(tmp_path / "moco_v2")
    export(tmp_path / "moco_v2", tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == FILES[:3]
    assert "## Training" not in card_of(tmp_path / "out")


def test_the_backbone_of_a_run_is_the_run(run, tmp_path):
    export(run / "backbone", tmp_path / "out")
    assert "7 videos." in card_of(tmp_path / "out")


def test_a_card_of_its_own_is_not_replaced(run, tmp_path):
    export(run, tmp_path / "out")
    with pytest.raises(ConfigError, match=r"has a model card of its own.*hf upload USER/NAME"):
        export(tmp_path / "out", tmp_path / "again")


def test_pickled_weights_become_safetensors(run, tmp_path):
    folder = run / "backbone"
    state = load_backbone(folder).state_dict()
    torch.save(state, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    export(run, tmp_path / "out")
    assert not (tmp_path / "out" / "pytorch_model.bin").exists()
    again = load_backbone(tmp_path / "out").state_dict()
    assert all(torch.equal(again[key], state[key]) for key in state)


def test_results_that_are_given(run, tmp_path):
    other = json.loads((run / "results.json").read_text()) | {"images": "/data/birds"}
    path = write_json(tmp_path / "birds.json", other)
    export(run, tmp_path / "out", results=(path,))
    assert "on **birds**" in card_of(tmp_path / "out")
    assert "pets" not in card_of(tmp_path / "out")
    other = write_json(tmp_path / "other.json", results(row("of other weights")))
    with pytest.raises(ConfigError, match=r"has no results of this backbone"):
        export(run, tmp_path / "out2", results=(path, other))
    assert not (tmp_path / "out2").exists()


def test_scores_of_a_run_that_was_extended_since_are_left_out(run, tmp_path, capsys):
    write_json(run / "results.json", results(row("of other weights")))
    export(run, tmp_path / "out")
    assert "## Evaluation" not in card_of(tmp_path / "out")
    said = " ".join(capsys.readouterr().err.split())
    assert "The model card is written without scores: " in said and "Evaluate it again" in said


def test_only_a_folder_of_its_own_is_replaced(run, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    export(run, out)  # an empty one
    with pytest.raises(ConfigError, match=r"out already exists. Add --overwrite"):
        export(run, out)
    export(run, out, overwrite=True, license="mit")
    assert "`mit`" in card_of(out)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"is not replaced: it holds 'notes.txt'"):
        export(run, out, overwrite=True)
    (out / "notes.txt").unlink()
    (out / "README.md").unlink()
    with pytest.raises(ConfigError, match=r"is not replaced: it has no README.md"):
        export(run, out, overwrite=True)
    with pytest.raises(ConfigError, match=r"config.yaml is a file"):
        export(run, run / "config.yaml", overwrite=True)
    with pytest.raises(ConfigError, match=r"my run is no folder of --to hf-folder, and is"):
        export(run, run, overwrite=True)


@pytest.mark.parametrize("source", ["resnet18", "hf-hub:timm/resnet18.a1_in1k", "random:resnet18"])
@pytest.mark.parametrize("to", ["--to hub:a/b --license mit", "--name mine"])
def test_what_is_no_folder_is_not_published(source, to, capsys):
    assert main(["export", source, *to.split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{source} is no folder" in line
