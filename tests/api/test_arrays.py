import numpy as np
import pytest
import torch

import vidmoco
from vidmoco.errors import ConfigError


def clouds(n, seed):
    """Points of three classes around centres of their own."""
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    centres = np.random.default_rng(9).standard_normal((3, 8))
    return (centres[labels] + generator.standard_normal((n, 8))).astype(np.float32), labels


(TRAIN, LABELS), (VAL, TRUTH) = clouds(90, 0), clouds(60, 1)
NAMES = np.array(["ape", "bee", "cow"])


def test_the_scores_are_those_of_evaluate(make_images, tmp_path):
    images = make_images()
    settings = {"k": (1, 3), "few_shot": (0.5,), "seed": 3, "device": "cpu"}
    (row,) = vidmoco.evaluate(images, "random:test_resnet", **settings, quiet=True)["rows"]
    frozen = vidmoco.load_frozen("random:test_resnet", seed=3)
    files = [sorted((images / part).rglob("*.png")) for part in ("train", "val")]
    features = [vidmoco.embed(some, backbone=frozen)[0] for some in files]
    labels = [[file.parent.name for file in some] for some in files]
    found = vidmoco.evaluate_features(features[0], labels[0], features[1], labels[1], **settings)
    assert found.pop("classes") == ["blue", "green", "red"]
    assert found.pop("seconds").keys() == {"knn", "linear", "few_shot"}
    assert found == {key: row[key] for key in found} and "linear_top1" in found


def test_labels_of_any_kind():
    first = vidmoco.evaluate_features(TRAIN, LABELS, VAL, TRUTH, k=5, device="cpu")
    assert 50 < first["knn_top1"]["0.07"]["5"] < 100
    for arguments in (
        (torch.from_numpy(TRAIN), torch.from_numpy(LABELS), VAL.tolist(), TRUTH.tolist()),
        (TRAIN.astype(np.float64), NAMES[LABELS], VAL, list(NAMES[TRUTH])),
        (TRAIN, 10 + 2 * LABELS, VAL, 10 + 2 * TRUTH),
    ):
        found = vidmoco.evaluate_features(*arguments, k=5, device="cpu")
        assert found["linear_confusion"] == first["linear_confusion"]
        assert found["knn_top1"] == first["knn_top1"]
    assert found["classes"] == [10, 12, 14]
    assert "linear_top1" not in vidmoco.evaluate_features(TRAIN, LABELS, VAL, TRUTH, linear=False)


def test_the_seed_draws_the_shots():
    options = {"k": 5, "linear": False, "few_shot": (0.05,), "device": "cpu"}
    drawn = [
        vidmoco.evaluate_features(TRAIN, LABELS, VAL, TRUTH, **options, seed=seed)
        for seed in (0, 0, 50)
    ]
    first, again, other = (found["few_shot_top1"]["0.05"] for found in drawn)
    assert first == again != other and len(first) == 3


def test_groups_widen_the_intervals():
    copied = VAL[:6].repeat(10, axis=0), TRUTH[:6].repeat(10)
    options = {"k": 5, "linear": False, "device": "cpu"}
    alone, grouped = (
        vidmoco.evaluate_features(TRAIN, LABELS, *copied, **options, **given)
        for given in (
            {},
            {"train_groups": range(90), "val_groups": np.repeat(-1 - np.arange(6), 10)},
        )
    )
    widths = [np.diff(found["knn_interval"]["0.07"]["5"])[0] for found in (alone, grouped)]
    assert widths[1] > 2 * widths[0]


def test_groups_choose_the_decay_and_the_shots():
    """Classes are by chance, so a row that is held out is right only if it has copies in train."""
    generator = np.random.default_rng(0)
    rows = generator.standard_normal((20, 30)).repeat(4, axis=0)
    rows += 0.01 * generator.standard_normal(rows.shape)
    labels, copied = (np.arange(20) % 2).repeat(4), np.arange(20).repeat(4)
    alone, grouped = (
        vidmoco.evaluate_features(
            rows, labels, rows, labels, few_shot=0.05, few_shot_draws=1, device="cpu", **given
        )
        for given in ({}, {"train_groups": copied, "val_groups": -1 - copied})
    )
    held_out = [max(found["linear_held_out_top1"].values()) for found in (alone, grouped)]
    assert held_out[0] == 100 > held_out[1]
    assert [found["few_shot_per_class"]["0.05"] for found in (alone, grouped)] == [2, 4]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": TRAIN[0]}, r"train is float32 \(8,\); expected features"),
        ({"train": LABELS[:, None]}, r"train is int64 \(90, 1\)"),
        ({"train": "features.npy"}, "train is "),
        ({"val": VAL[:, :5]}, "train has 8 features a row and val 5"),
        ({"val": VAL * np.float32("nan")}, "val has 60 rows that are not finite"),
        ({"train_labels": LABELS[:5]}, "train_labels has 5 entries for 90 rows"),
        ({"train_labels": LABELS / 2}, "train_labels has 0.0; expected whole numbers"),
        ({"train_labels": LABELS * 0}, r"one class only \(0\)"),
        ({"val_labels": TRUTH + 1}, "val_labels has classes that train_labels has not: '3'"),
        ({"train_groups": LABELS}, "Only one of train_groups and val_groups"),
        (
            {"train_groups": range(90), "val_groups": range(60)},
            "60 groups are in both train_groups and val_groups, such as 0",
        ),
        ({"k": 0}, "--k is"),
        ({"device": "gpu"}, "gpu"),
    ],
)
def test_what_cannot_be_scored_is_refused(change, message):
    given = {"train": TRAIN, "train_labels": LABELS, "val": VAL, "val_labels": TRUTH}
    with pytest.raises(ConfigError, match=message):
        vidmoco.evaluate_features(**(given | change))
