from dataclasses import replace

import pytest
import yaml
from huggingface_hub import ModelCard
from report_material import make_run, results, row, write_json

from vidmoco.config.recipe import load_recipe
from vidmoco.hub.card import Model, model_card
from vidmoco.hub.evaluation import read_results_of
from vidmoco.report.run_facts import read_run


@pytest.fixture
def model(tmp_path):
    facts = read_run(make_run(tmp_path / "run", load_recipe("moco_v2")))
    return Model(
        repository="alice/kitchen", architecture="resnet50", dim=2048, size=224,
        num_parameters=23_508_032, license="cc-by-nc-4.0", provenance={}, facts=facts,
        has_curve=True,
    )  # fmt: skip


@pytest.fixture
def measured(tmp_path):
    path = write_json(tmp_path / "r.json", results(row("run1") | {"weights_hash": "abc"}))
    return read_results_of(path, weights_hash="abc", name="kitchen")


def metadata(card):
    return yaml.safe_load(card.split("---\n")[1])


def titles(card):
    return [line[3:] for line in card.splitlines() if line.startswith("## ")]


def test_the_hub_and_timm_find_their_metadata(model, measured):
    card = model_card(model, [measured])
    found = metadata(card)
    assert (found["library_name"], found["license"]) == ("timm", "cc-by-nc-4.0")
    assert found["pipeline_tag"] == "image-feature-extraction"
    assert {"vidmoco", "moco", "timm"} <= set(found["tags"])
    (index,) = found["model-index"]
    assert index["name"] == "kitchen"
    metrics = index["results"][0]["metrics"]
    assert [one["value"] for one in metrics] == [41.0, 50.0]
    assert metrics[0]["args"] == {"interval_95": [36.0, 46.0]}
    read = ModelCard(card)  # as its readers do
    assert read.data.model_name == "kitchen" and len(read.data.eval_results) == 2


def test_all_that_is_known(model, measured):
    card = model_card(model, [measured])
    assert titles(card) == [
        "Use", "Training data", "Training", "Evaluation", "Limits", "Licence",
        "Repeat the training", "Citation",
    ]  # fmt: skip
    assert "A resnet50 backbone of 23.5 M parameters, trained on unlabelled video by moco." in card
    assert 'timm.create_model("hf-hub:alice/kitchen", pretrained=True)' in card
    assert "![Curves of the training](training.png)" in card
    assert "hf download alice/kitchen recipe.yaml" in card
    assert "`cc-by-nc-4.0`, as stated by who published" in card
    assert "@inproceedings{he2020moco" in card and "not been evaluated" not in card


def test_what_is_not_known_is_left_out(model):
    bare = replace(model, facts=None, license=None, has_curve=False)
    card = model_card(bare, [])
    assert titles(card) == ["Use", "Limits", "Licence"]
    assert metadata(card)["license"] == "other" and "model-index" not in metadata(card)
    assert "No terms have been stated." in card and "It has not been evaluated here." in card
    imported = replace(bare, provenance={"imported_from": "moco_v2.pth", "method": "simclr"})
    card = model_card(imported, [])
    assert "imported by vidmoco from moco\\_v2.pth." in card and "chen2020simclr" in card
    assert "Terms of their own apply." in model_card(replace(bare, license="other"), [])


def test_only_what_is_known_of_the_training_is_claimed(model):
    assert {"video", "self-supervised-learning"} <= set(metadata(model_card(model, []))["tags"])
    imported = replace(model, facts=None, provenance={"imported_from": "tv.pth"})
    card = model_card(imported, [])
    assert metadata(card)["tags"] == ["timm", "image-feature-extraction", "vidmoco"]
    assert "video" not in card and "in training" not in card
    of_method = replace(imported, provenance={"method": "simclr"})
    assert {"self-supervised-learning", "video"}.intersection(
        metadata(model_card(of_method, []))["tags"]
    ) == {"self-supervised-learning"}
    key = {"format": "vidmoco.images", "images": 9}
    write_json(model.facts.folder / "frames.json", key)
    card = model_card(model, [])
    assert "trained on unlabelled images by moco." in card
    assert "video" not in metadata(card)["tags"]


def test_the_code_of_the_card_runs_where_vidmoco_must_register_the_network(model):
    own = replace(model, architecture="vidmoco_resnet18_32px")
    assert "import timm, vidmoco  # vidmoco registers" in model_card(own, [])
    assert "import timm\n" in model_card(model, [])


def test_names_from_strangers_stay_text(model):
    evil = {"method": "<script>", "imported_from": "[x](y)\n# title"}
    card = model_card(replace(model, facts=None, provenance=evil), [])
    assert "<script>" not in card.split("---\n", 2)[2] and "\n# title" not in card
    assert "<script>" not in metadata(card)["tags"]


def test_several_results_files(model, measured):
    other = measured | {"images": "birds"}
    card = model_card(model, [measured, other])
    assert titles(card).count("Evaluation") == 1
    assert card.count("Accuracy in percent on") == 2
    assert [one["dataset"]["name"] for one in metadata(card)["model-index"][0]["results"]] == [
        "pets", "birds",
    ]  # fmt: skip
