from pathlib import Path

import pytest

from vidmoco.errors import ConfigError
from vidmoco.features.kept_settings import changes_in_words, describe_backbone, require_frames

SETTINGS = {
    "architecture": "resnet18",
    "weights_hash": "beef",
    "preprocess": {"size": 32, "crop_mode": "center"},
}


@pytest.mark.parametrize(
    ("more", "words"),
    [({"feature": "patches"}, "patch tokens"), ({"pool": "mean"}, r"pooled .*\(--pool mean\)")],
)
def test_what_is_not_of_one_frame_is_refused(more, words):
    require_frames(Path("a.npy"), SETTINGS | {"feature": "cls"})
    with pytest.raises(ConfigError, match=rf"^a\.npy holds .*{words}"):
        require_frames(Path("a.npy"), SETTINGS | more)


def test_a_backbone_in_words():
    text = "resnet18 with weights beef at 32 px (crop_mode center)"
    assert describe_backbone(SETTINGS) == text
    assert describe_backbone(SETTINGS | {"feature": "cls"}) == f"cls of {text}"
    for name in ("size", "crop_pct", "interpolation", "crop_mode", "mean", "std"):
        changed = SETTINGS | {"preprocess": SETTINGS["preprocess"] | {name: [0.5, 0.5, 0.5]}}
        assert describe_backbone(changed) != text


def test_changes_are_told_as_flags():
    known = SETTINGS | {"backbone": "runs/a", "every": 1, "times": [1.0, 2.5], "labels": []}
    given = known | {"weights_hash": "cafe", "times": [0.5] * 99, "labels": ["kind"]}
    clips = changes_in_words({}, {"clips": [[0.5, 62.5], [70.0, None]]}, ["clips"])
    assert clips == "no clips, now clips at 0.5-62.5 70-"
    text = changes_in_words(known, given, ["weights_hash", "times", "labels"])
    first, times, labels = text.split("; ")
    assert first == "backbone runs/a with weights beef, now backbone runs/a with weights cafe"
    assert times.startswith("--times 1.0 2.5, now --times 0.5 0.5 ") and times.endswith("…")
    assert labels == "no --labels, now --labels kind" and len(text) < 300
    given = given | {"backbone": "resnet50", "preprocess": SETTINGS["preprocess"] | {"size": 64}}
    assert changes_in_words(known, given, ["weights_hash", "preprocess"]) == (
        "backbone runs/a, now backbone resnet50; --size 32, now --size 64"
    )
    assert changes_in_words({}, given, ["preprocess"]) == (
        "no --size, now --size 64; no --crop-mode, now --crop-mode center"
    )
