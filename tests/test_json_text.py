import json
import os

import pytest

from vidmoco import json_text
from vidmoco.json_text import MAX_DEPTH, parse_json, read_json


def nested(depth, opening="[", closing="]"):
    return opening * depth + closing * depth


def test_what_is_within_the_bounds_is_what_json_says(tmp_path):
    value = {"a": [1, 2.5, None, {"b": ["ü"]}], "c": json.loads(nested(MAX_DEPTH - 1))}
    text = json.dumps(value)
    assert parse_json(text) == parse_json(text.encode()) == value
    (tmp_path / "it.json").write_text(text)
    assert read_json(tmp_path / "it.json") == value


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 900, 100_000])
@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_depth_is_bounded(depth, opening):
    text = nested(depth, opening, "]" if opening == "[" else "0".replace("0", "}"))
    text = text.replace(":}", ":0}")
    with pytest.raises(ValueError, match=f"nested more than {MAX_DEPTH} deep"):
        parse_json(text)


def test_size_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(json_text, "MAX_BYTES", 1000)
    path = tmp_path / "it.json"
    path.write_text('"' + "a" * 998 + '"')
    assert read_json(path) == "a" * 998
    path.write_text('"' + "a" * 999 + '"')
    with pytest.raises(ValueError, match="more than 1,000 bytes"):
        read_json(path)


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(ValueError, match="not a regular file"):
        read_json(tmp_path / "pipe.json")
