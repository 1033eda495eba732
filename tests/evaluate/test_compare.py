import json
import shutil

import numpy as np
import pytest
import torch
from evaluate_runs import accuracies, run
from PIL import Image

from vidmoco import distributed
from vidmoco.backbones import frozen
from vidmoco.config.evaluation import ReportCommand
from vidmoco.errors import CheckpointError, ConfigError, DataError
from vidmoco.evaluate import compare, protocols
from vidmoco.evaluate import results as results_module
from vidmoco.evaluate.knn import knn_predictions
from vidmoco.evaluate.linear import LinearProbe
from vidmoco.evaluate.scores import top_accuracy
from vidmoco.report.report import report


def test_colours_are_told_apart(make_images, tmp_path):
    results, table, log = run(make_images(), tmp_path)
    (row,) = results["rows"]
    assert row["knn_top1"] == {tau: {"1": 100.0, "3": 100.0} for tau in ("0.07", "0.1")}
    assert row["knn_confusion"] == row["linear_confusion"] == [[3, 0, 0], [0, 3, 0], [0, 0, 3]]
    assert row["linear_top1"] == 100.0
    assert "linear_top5" not in row  # three classes
    assert row["input_size"] == 32
    assert (results["num_train"], results["num_val"]) == (18, 9)
    assert results["classes"] == ["blue", "green", "red"]
    assert json.loads((tmp_path / "r.json").read_text()) == results
    assert "random (test_resnet)" in table
    for stage in (
        "18 train and 9 val images of 3 classes",
        "features …",
        "k-NN …",
        "linear probe …",
    ):
        assert stage in log


def test_any_batch_size_gives_the_same(make_images, tmp_path):
    images = make_images(size=9)
    first, _, _ = run(images, tmp_path)
    again, _, _ = run(images, tmp_path, batch_size=5, fresh=True)
    assert accuracies(first) == accuracies(again)


def test_the_crop_is_that_of_the_flag_and_features_are_kept_by_it(make_images, tmp_path):
    images = make_images()
    first, _, _ = run(images, tmp_path)
    again, table, log = run(images, tmp_path, crop_mode="squash")
    modes = [results["rows"][0]["preprocess"]["crop_mode"] for results in (first, again)]
    assert modes == ["center", "squash"]
    assert "both sides to" in table
    assert "features …" in log  # not those of the other crop


def test_shuffled_labels_are_chance(tmp_path):
    generator = np.random.default_rng(0)
    for split, count in (("train", 60), ("val", 60)):
        for label in ("a", "b", "c", "d"):
            (tmp_path / "images" / split / label).mkdir(parents=True)
            for i in range(count):
                colour = generator.integers(0, 256, 3)  # says nothing of the label
                pixels = np.broadcast_to(colour, (8, 8, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(tmp_path / "images" / split / label / f"{i}.png")
    results, _, _ = run(tmp_path / "images", tmp_path)
    (row,) = results["rows"]
    # Chance 25 %; five standard deviations of 240 images: 14 points.
    for value in (*row["knn_top1"]["0.07"].values(), row["linear_top1"]):
        assert 11 < value < 39


def test_several_backbones_one_row_each(make_images, tmp_path):
    results, table, log = run(
        make_images(), tmp_path, "random:test_resnet", "random:test_vit", size=None
    )
    assert [row["name"] for row in results["rows"]] == ["random (test_resnet)", "random (test_vit)"]
    assert results["rows"][0]["weights_hash"] != results["rows"][1]["weights_hash"]
    assert table.count("│ random (test_") == 2
    assert log.count("k-NN …") == 2


def test_each_backbone_gets_the_preprocessing_it_states(make_images, tmp_path, monkeypatch):
    seen = []
    true_loader = compare.image_loader

    def loader(splits, preprocess, **options):
        seen.append(preprocess)
        return true_loader(splits, preprocess, **options)

    monkeypatch.setattr(compare, "image_loader", loader)
    stated = {"test_resnet": {"mean": (0.1, 0.2, 0.3)}, "test_vit": {"mean": (0.5, 0.5, 0.5)}}
    true_load = frozen.load_backbone

    def load(name, **options):
        backbone = true_load(name, **options)
        backbone.pretrained_cfg = backbone.pretrained_cfg | stated[name.removeprefix("random:")]
        return backbone

    monkeypatch.setattr(frozen, "load_backbone", load)
    results, _, _ = run(make_images(), tmp_path, "random:test_resnet", "random:test_vit", size=None)
    assert [p.mean for p in seen] == [(0.1, 0.2, 0.3), (0.5, 0.5, 0.5)]
    assert [tuple(row["preprocess"]["mean"]) for row in results["rows"]] == [p.mean for p in seen]


def test_damaged_images_are_listed(make_images, tmp_path, monkeypatch):
    seen = []

    def knn(bank, labels, queries, **options):
        seen.append((labels.tolist(), len(queries)))
        assert options["scores_of"] is None  # only videos need them
        return knn_predictions(bank, labels, queries, **options)

    monkeypatch.setattr(protocols, "knn_predictions", knn)
    folder = make_images()
    (folder / "train" / "red" / "0.png").write_bytes(b"broken")
    (folder / "val" / "blue" / "1.png").write_bytes(b"")
    (folder / "val" / "notes.txt").write_text("x")
    results, table, _ = run(folder, tmp_path)
    assert (results["num_train"], results["num_val"]) == (17, 8)
    assert seen == [([0] * 6 + [1] * 6 + [2] * 5, 8)]
    assert [one["name"] for one in results["refused"]] == ["train/red/0.png", "val/blue/1.png"]
    assert "2 images could not be read and are left out:" in table
    assert "val/blue/1.png: the file is empty" in table
    assert "1 file has a suffix of no image format" in table


def test_many_classes_have_no_confusion_matrix(make_images, tmp_path, monkeypatch):
    for module in (protocols, results_module):
        monkeypatch.setattr(module, "MOST_CONFUSED", 2)
    results, table, _ = run(make_images(), tmp_path)
    assert not any("confusion" in key for key in results["rows"][0])
    note = "There are no confusion matrices: with 3 classes (more than 2) the file would be too"
    assert results["notes"][0].startswith(note)
    assert note in table


def test_a_class_of_damaged_images_is_refused(make_images, tmp_path):
    folder = make_images()
    for file in (folder / "train" / "red").iterdir():
        file.write_bytes(b"")
    with pytest.raises(DataError, match=r"No image of 'red' in train could be read; 6 are damaged"):
        run(folder, tmp_path)
    folder = make_images(name="other")
    for file in (folder / "val").rglob("*.png"):
        file.write_bytes(b"")
    with pytest.raises(DataError, match=r"No image in val could be read; 9 are damaged"):
        run(folder, tmp_path)


@pytest.mark.parametrize("is_damaged", [False, True])
def test_a_class_without_images_in_val_is_a_possible_wrong_answer(
    make_images, tmp_path, is_damaged
):
    folder = make_images()
    for file in (folder / "val" / "green").iterdir():
        file.write_bytes(b"")
    if not is_damaged:
        shutil.rmtree(folder / "val" / "green")
    results, table, log = run(folder, tmp_path)
    note = "1 class is only in train, and in val a possible wrong answer: 'green'."
    assert note in table and (note in log) == (not is_damaged)
    assert results["num_val_by_class"] == [3, 0, 3] and "are unequal" not in table
    (row,) = results["rows"]
    assert row["linear_balanced"] == 100 and row["linear_confusion"][1] == [0, 0, 0]
    report(ReportCommand(sources=(tmp_path / "r.json",)))


def test_more_neighbours_than_images_and_a_cap_are_said(make_images, tmp_path):
    results, table, _ = run(make_images(), tmp_path, k=(1, 200), max_train_per_class=4)
    assert results["num_train"] == 12
    assert "k = 200 is more than the 12 training images; all of them vote." in table
    assert "12 train (at most 4 per class)" in table


def test_a_best_decay_at_the_end_of_the_grid_is_said(make_images, tmp_path, monkeypatch):
    for held_out, is_said in (({1.0: 0.9, 0.1: 0.8}, True), ({1.0: 0.9, 0.1: 0.9}, False)):
        probe = LinearProbe(scores=torch.eye(3)[[0] * 9], decay=1.0, held_out_accuracy=held_out)
        monkeypatch.setattr(protocols, "linear_probe", lambda *a, probe=probe, **options: probe)
        name = f"images{is_said}"
        _, table, _ = run(make_images(name=name, train=1), tmp_path, "random:test_resnet")
        said = "best decay, 1, is the strongest one tried. That is usual with few images."
        assert (said in table) == is_said


def test_the_probe_can_be_left_out(make_images, tmp_path):
    results, table, log = run(make_images(), tmp_path, linear=False)
    assert "linear_top1" not in results["rows"][0]
    assert "linear top-1" not in table
    assert "linear" not in log


def test_the_seed_decides(make_images, tmp_path):
    hashes = [
        run(make_images(name=f"images{i}"), tmp_path, seed=seed, linear=False)[0]["rows"][0][
            "weights_hash"
        ]
        for i, seed in enumerate((0, 0, 1))
    ]
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_backbone_that_changes_is_noticed(make_images, tmp_path, monkeypatch):
    true_features = compare.compute_features

    def spoil(frozen, *arguments, **options):
        next(frozen.backbone.parameters()).data.add_(1e-3)
        return true_features(frozen, *arguments, **options)

    monkeypatch.setattr(compare, "compute_features", spoil)
    with pytest.raises(AssertionError, match="weights changed"):
        run(make_images(), tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": (1, 20, 1)}, "--k is .*; it must be different numbers"),
        ({"tau": (0.1, 0.1)}, "--tau is"),
        ({"few_shot": (0.1, 0.1)}, "--few-shot is"),
        ({"k": ()}, "--k is .*one or more"),
    ],
)
def test_settings_that_cannot_be(tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        run(tmp_path, tmp_path, **options)


def test_mistakes_are_told_before_the_long_work(make_images, tmp_path, monkeypatch):
    monkeypatch.setattr(compare, "compute_features", None)  # it would fail with a TypeError
    images = make_images()
    with pytest.raises(ConfigError, match="Unknown backbone"):
        run(images, tmp_path, "random:test_resnet", "resnet81")
    with pytest.raises(CheckpointError, match="is not a backbone folder"):
        run(images, tmp_path, "random:test_resnet", str(tmp_path))
    (tmp_path / "videos").mkdir()
    with pytest.raises(ConfigError, match="Unknown backbone"):  # and before videos are read
        run(tmp_path / "videos", tmp_path, "resnet81")
    with pytest.raises(ConfigError, match="--output"):
        run(images, tmp_path, output=tmp_path)
    with pytest.raises(ConfigError, match="No such folder of images"):
        run(tmp_path / "nowhere", tmp_path)
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="cuda"):
            run(images, tmp_path, device="cuda")


def test_the_main_process_alone_has_rows(make_images, tmp_path, monkeypatch):
    monkeypatch.setattr(distributed, "is_main", lambda: False)
    results, table, _ = run(make_images(), tmp_path)
    assert results["rows"] == [] and results["num_val"] == 9
    assert table == "" and not (tmp_path / "r.json").exists()


def test_top_accuracy():
    scores = torch.tensor([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3], [0.0, 0.4, 0.6], [0.9, 0.1, 0.0]])
    labels = torch.tensor([1, 2, 2, 2])
    assert top_accuracy(scores, labels) == 50.0
    assert top_accuracy(scores, labels, top=2) == 75.0
    assert top_accuracy(scores, labels, top=3) == 100.0


def test_few_shots(make_images, tmp_path):
    results, table, _ = run(make_images(), tmp_path, few_shot=(0.2, 0.5), few_shot_draws=2)
    (row,) = results["rows"]
    assert {share: len(draws) for share, draws in row["few_shot_top1"].items()} == {
        "0.2": 2,
        "0.5": 2,
    }
    assert row["few_shot_top1"]["0.5"] == [100.0, 100.0]  # three of a colour are enough
    assert "linear, 20 % (1 per class)" in table and "mean over 2 draws" in table
    assert row["few_shot_per_class"] == {"0.2": 1, "0.5": 3}


def test_intervals_hold_the_accuracy(make_images, tmp_path):
    results, table, _ = run(make_images(), tmp_path)
    (row,) = results["rows"]
    low, high = row["knn_interval"]["0.1"]["3"]
    assert low <= row["knn_top1"]["0.1"]["3"] <= high
    assert "95 % intervals of linear top-1: 70.1 to 100.0" in table


def test_unequal_classes_are_told_with_the_mean_over_classes(make_images, tmp_path):
    images = make_images()
    _, table, _ = run(images, tmp_path)
    assert "balanced, " not in table and "are unequal" not in table
    for number in (1, 2):
        (images / "val" / "red" / f"{number}.png").unlink()
    results, table, _ = run(images, tmp_path)
    assert results["num_val_by_class"] == [3, 3, 1]
    (row,) = results["rows"]
    assert row["knn_balanced"]["0.07"]["3"] == row["linear_balanced"] == 100.0
    text = " ".join(table.split())
    assert "k-NN 3, balanced" in text and "linear, balanced" in text
    assert "from 1 images (red) to 3 (blue): to answer always blue gives a top-1 of 42.9 %." in text
