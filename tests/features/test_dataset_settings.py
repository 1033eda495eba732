import json

import pytest

from vidmoco.errors import ConfigError
from vidmoco.features.dataset_settings import (
    SETTINGS,
    changed_settings,
    hash_of,
    is_dataset,
    read_settings,
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
    assert hash_of(known) != hash_of(known | {"every": 2})
