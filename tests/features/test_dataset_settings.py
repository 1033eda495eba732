import json
from dataclasses import fields
from pathlib import Path

import pytest
from dataset_folders import begin

from vidmoco.config.frame_selection import FrameSelection
from vidmoco.errors import ConfigError
from vidmoco.features.dataset_settings import (
    SETTINGS,
    changed_settings,
    hash_of,
    is_dataset,
    read_settings,
    require_outside_of_datasets,
)
from vidmoco.features.output_folder import output_folder


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"format": "of tomorrow"})])
def test_settings_that_cannot_be_read(tmp_path, text):
    folder = output_folder(tmp_path / "f")
    assert read_settings(folder) is None and not is_dataset(folder)
    folder.write(SETTINGS, text.encode())
    with pytest.raises(ConfigError, match=r"is damaged|of another version"):
        read_settings(folder)
    assert is_dataset(folder)


def test_what_decides_the_rows():
    known = {"backbone": "here", "every": 1, "dtype": "float32"}
    assert changed_settings(known, known | {"backbone": "there"}) == []
    assert hash_of(known) == hash_of(known | {"backbone": "there"})
    assert changed_settings(known, known | {"every": 2, "pool": "mean"}) == ["every", "pool"]
    for name in (
        *("format", "weights_hash", "preprocess", "precision", "feature", "times_file", "pool"),
        *("normalize", "dtype", "labels", *(field.name for field in fields(FrameSelection))),
    ):
        given = known | {name: "another"}
        assert changed_settings(known, given) == [name]
        assert hash_of(known) != hash_of(given)
    assert changed_settings(known, known | {"clips": [[0, 1]]}) == ["clips"]
    assert hash_of(known) == "511d76dccead3bad"  # also that of datasets which are there already


def test_no_other_files_within_a_dataset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    begin(tmp_path / "feats")
    require_outside_of_datasets(Path("feats"))
    require_outside_of_datasets(Path("feats2/a.npy"))
    for inside in ("feats/a.npy", "feats/deep/er/a.npy", "feats/__vidmoco__/a.npy"):
        with pytest.raises(ConfigError, match=f"^{inside} would be in {tmp_path}/feats, which has"):
            require_outside_of_datasets(Path(inside))
