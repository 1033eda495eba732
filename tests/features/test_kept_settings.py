from pathlib import Path

import pytest

from vidmoco.errors import ConfigError
from vidmoco.features.kept_settings import describe_backbone, require_frames

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
