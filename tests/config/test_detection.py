import json
from pathlib import Path

import pytest

from vidmoco.config.detection import DetectionCommand
from vidmoco.errors import ConfigError

GIVEN = {"backbone": "resnet50", "train": ("a:b",), "val": "a:c", "run": Path("runs/x")}


def test_the_defaults_are_the_papers():
    # github.com/facebookresearch/moco: detection/configs/pascal_voc_R_50_C4_24k.yaml and its base.
    settings = DetectionCommand(**GIVEN)
    assert settings.detector == "c4"
    assert (settings.iterations, settings.lr_steps, settings.warmup) == (
        24000,
        (18000, 22000),
        100,
    )
    assert (settings.batch_size, settings.lr) == (16, 0.02)
    assert settings.short_sides == (480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800)
    assert settings.norm == "synced"


@pytest.mark.parametrize(
    ("iterations", "steps"), [(1000, (750, 917)), (90000, (67500, 82500)), (4, (3,)), (1, ())]
)
def test_the_learning_rate_falls_in_a_shorter_training_too(iterations, steps):
    settings = DetectionCommand(**GIVEN, iterations=iterations)
    assert settings.lr_steps == steps
    assert settings.plain()["milestones"] == steps
    assert DetectionCommand(**GIVEN, iterations=iterations, milestones=()).lr_steps == ()


def test_they_can_be_written_as_json():
    plain = DetectionCommand(**GIVEN).plain()
    assert json.loads(json.dumps(plain))["run"] == "runs/x"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"train": ()}, "--train is .*one or more training sets"),
        ({"iterations": 0}, "--iterations is 0; it must be at least 1"),
        ({"rois_per_image": 0}, "--rois-per-image is 0"),
        ({"precise_bn": -1}, "--precise-bn is -1"),
        ({"lr": 0.0}, "--lr is 0.0"),
        ({"lr": float("nan")}, "--lr is nan"),
        ({"momentum": 1.0}, "--momentum is 1.0"),
        ({"weight_decay": -1.0}, "--weight-decay is -1.0"),
        ({"milestones": (20, 10)}, "--milestones is .*ascending"),
        ({"milestones": (0, 10)}, "--milestones is .*ascending"),
        (
            {"milestones": (600, 1000), "iterations": 1000},
            "--milestones has step 1000, .*--iterations 1000, .*such as --milestones 750 917",
        ),
        ({"milestones": (1,), "iterations": 1}, r"Give earlier steps\."),
        ({"short_sides": ()}, "--short-sides is"),
        ({"short_sides": (0,)}, "--short-sides is"),
    ],
)
def test_nonsense_is_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        DetectionCommand(**(GIVEN | given))
