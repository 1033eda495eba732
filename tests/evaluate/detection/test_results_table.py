import pytest
from detection_material import random_shapes, write_coco, write_voc

from vidmoco.cli.main import main
from vidmoco.evaluate.detection.results_table import notes

TINY = {
    "backbone": "random:test_resnet", "iterations": 1, "batch-size": 2,
    "short-sides": 48, "rois-per-image": 8, "proposals": 10, "precise-bn": 1, "device": "cpu",
}  # fmt: skip


def call(tmp_path, data, *words):
    given = ["--train", data, "--val", data, "--run", str(tmp_path / "run")]
    tiny = [word for name, value in TINY.items() for word in (f"--{name}", str(value))]
    return main(["evaluate-detection", *tiny, *given, *words])


def test_the_table(tmp_path, capsys):
    assert call(tmp_path, write_voc(tmp_path / "voc", random_shapes(3))) == 0
    printed = capsys.readouterr().out
    for text in ("AP75", "COCO, 101 recalls", "VOC 2007, 11 recalls", "random (test_resnet)"):
        assert text in printed
    assert "3 images are in both train and val, so AP measures memory" in printed
    assert f"Written to {tmp_path / 'run' / 'results.json'}" in printed
    assert (tmp_path / "run" / "environment.json").is_file()


def test_what_is_odd_is_said():
    part = {
        "num_images": 3, "num_boxes": 4, "num_crowd": 1, "num_difficult": 0, "num_clipped": 2,
        "num_dropped": 5,
    }  # fmt: skip
    results = {
        "backbone": {"architecture": "resnet50", "weights_hash": "ab"},
        "settings": {"iterations": 7, "seed": 0},
        "train": part,
        "val": part,
        "per_class_ap": {"disc": None, "square": 1.0},
        "num_images_in_both": 0,
    }
    lines = notes(results)
    assert "without objects in val, so not in the mean: disc" in lines
    assert (
        "val: 3 images, 4 boxes (1 crowds, 0 difficult); 2 clipped at an edge, 5 without"
        in lines[2]
    )
    assert not any("memory" in line for line in lines)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--val", "nowhere"], "vidmoco: --val is 'nowhere'; expected instances.json"),
        (["--backbone", "random:vit_tiny_patch16_224"], "is a VisionTransformer"),
        (["--backbone", "random:resnet19"], "Did you mean 'resnet18'"),
        (["--resume"], "There is no checkpoint in"),
    ],
)
def test_mistakes_are_one_line(tmp_path, capsys, words, message):
    assert call(tmp_path, write_coco(tmp_path / "coco", random_shapes(2)), *words) == 2
    said = capsys.readouterr().err
    assert message in said
    assert len(said.splitlines()) == 1


def test_unknown_flags_and_help(tmp_path, capsys):
    with pytest.raises(SystemExit) as exit:
        call(tmp_path, "x:y", "--epochs", "3")
    assert exit.value.code == 2
    assert "--epochs" in capsys.readouterr().err
    assert call(tmp_path, "x:y", "--lr", "0") == 2
    assert "--lr is 0.0; it must be greater than 0" in capsys.readouterr().err
    with pytest.raises(SystemExit) as exit:
        main(["evaluate-detection", "--help"])
    assert exit.value.code == 0
    assert "FOLDER:SPLIT" in capsys.readouterr().out
