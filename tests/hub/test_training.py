import json
from dataclasses import replace
from pathlib import Path

import pytest
from report_material import make_run

from vidmoco.config.backbone import BackboneConfig
from vidmoco.config.monitor import MonitorConfig
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.config.recipe import load_recipe, parse_recipe
from vidmoco.config.runtime import EngineConfig
from vidmoco.hub.training import data_section, published, recipe_text, settings_section
from vidmoco.report.run_facts import read_run
from vidmoco.video.catalog import Catalog
from vidmoco.video.info import VideoInfo


def video(n, *, hours=1.0, route="pyav"):
    about = {"num_bytes": 1, "mtime_ns": 1, "route": route, "duration_seconds": 3600 * hours}
    return VideoInfo(root="/data/secret", key=f"alice{n}.mp4", **about)


@pytest.fixture
def facts(tmp_path):
    return read_run(make_run(tmp_path / "run", load_recipe("moco_v2")))


def test_videos_and_hours(facts):
    rows = [*(video(n, hours=1.5) for n in range(3)), video(9, route="refused")]
    Catalog.from_rows(rows).save(facts.folder / "catalog.parquet")
    said = data_section(facts)
    assert said.startswith("3 videos, 4.5 hours in all. 1 file could not be read.")
    assert "not in this repository" in said and "two frames of one video" in said
    assert "secret" not in said and "alice" not in said


def test_a_method_of_one_view_has_no_pairs(tmp_path):
    said = data_section(read_run(make_run(tmp_path / "run", load_recipe("inst_disc"))))
    assert said.endswith("The positive of a view is the stored embedding of its video or image.")


def test_short_data(facts):
    Catalog.from_rows([video(1, hours=0.02)]).save(facts.folder / "catalog.parquet")
    assert data_section(facts).startswith("1 video, 1 min 12 s in all. The data")


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ({"format": "vidmoco.frames", "num_videos": 2, "num_frames": 1800},
         "1,800 prepared frames of 2 videos. The"),
        ({"format": "vidmoco.images", "images": 5000}, "5,000 images, each a video of one frame."),
        ("damaged", "1,234 videos. The data"),
    ],
)  # fmt: skip
def test_prepared_frames_images_and_what_is_only_counted(key, said, facts):
    (facts.folder / "frames.json").write_text(json.dumps(key))
    assert data_section(facts).startswith(said)


def test_settings_that_differ(tmp_path):
    recipe = load_recipe("moco_v2")
    config = replace(recipe, seed=7, videos=(Path("/data/secret"),),
                     monitor=MonitorConfig(images=Path("/data/labels")),
                     backbone=replace(recipe.backbone, name="resnet18"))  # fmt: skip
    said = settings_section(read_run(make_run(tmp_path / "run", config)))
    assert said.startswith("30 of 2,000 steps, 3 epochs, 2 min 30 s (torch 2.15.0).")
    assert "| `seed` | 7 | 0 |" in said and "| `backbone.name` | resnet18 | resnet50 |" in said
    assert "secret" not in said and "labels" not in said and "monitor" not in said


def test_settings_that_change_no_step_are_left_out(tmp_path):
    recipe = load_recipe("moco_v2")
    engine = replace(recipe.engine, checkpoint_minutes=3.0, checkpoint_steps=7, threads=2,
                     keep_checkpoints=9, log=("wandb",), log_every=3, device="cpu",
                     precision="bf16")  # fmt: skip
    config = replace(recipe, steps=99, engine=engine, limits=replace(recipe.limits, max_seconds=9),
                     data=replace(recipe.data, workers=5, decoder="pyav"))  # fmt: skip
    said = settings_section(read_run(make_run(tmp_path / "run", config)))
    rows = [line.split("`")[1] for line in said.splitlines() if line.startswith("| `")]
    assert rows == ["engine.precision", "epochs", "steps"] or rows == ["engine.precision", "steps"]


def test_a_training_that_was_stopped(tmp_path):
    config = replace(load_recipe("moco_v2"), steps=100)
    run = make_run(tmp_path / "run", config, steps=40, told=40)
    assert settings_section(read_run(run)).startswith("40 of 100 steps, 4 epochs, 3 min 20 s")


def test_all_settings_of_the_recipe(facts):
    assert (
        "All settings that decide what is learnt are those of the recipe moco\\_v2."
        in settings_section(facts)
    )


def test_settings_that_this_version_cannot_read(facts):
    said = settings_section(replace(facts, config=None, environment={"device": "<b>GPU</b>"}))
    assert said == "30 steps, 3 epochs, 2 min 30 s, on \\<b\\>GPU\\</b\\>."


def test_the_recipe_repeats_the_training_without_its_places(tmp_path):
    config = PretrainConfig(
        videos=(Path("/data/secret"),), seed=3, monitor=MonitorConfig(images=Path("/labels")),
        backbone=BackboneConfig(name="random:/home/me/runs/first", weights="/home/me/moco_v2"),
        engine=EngineConfig(log=("wandb",)),
    )  # fmt: skip
    text = recipe_text(config, name="alice/kitchen")
    assert text.startswith("# The settings of alice/kitchen: vidmoco pretrain videos/ --recipe ")
    read = parse_recipe(text, source="recipe.yaml")
    assert read == published(config)
    assert (read.seed, read.videos, read.monitor) == (3, (), MonitorConfig())
    assert read.engine.log == ()  # which may ask a stranger for an account
    assert (read.backbone.name, read.backbone.weights) == ("random:first", "moco_v2")
    assert "/home" not in text and "secret" not in text and "/labels" not in text
    hub = replace(config, backbone=BackboneConfig(name="hf-hub:timm/vit.dino"))
    assert published(hub).backbone.name == "hf-hub:timm/vit.dino"
