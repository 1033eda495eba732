import json

import pytest

from vidmoco.errors import ConfigError
from vidmoco.frames.key import (
    build_key,
    check_table,
    number_of_table,
    read_key,
    same_frames,
)

KEY = build_key(
    {"fps": 4}, number=2, num_videos=1, num_frames=3, content="c0", frames=b"abc", videos=b"de"
)


def test_a_key_is_read_as_it_was_built():
    assert read_key(json.dumps(KEY), where="x") == KEY
    assert KEY["frames"] == "frames-2.parquet"
    assert KEY["num_bytes"] == {"frames": 3, "videos": 2}
    assert KEY["sha256"]["frames"][:8] == "ba7816bf"  # of FIPS 180-2, appendix B.1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "x/frames.json is damaged: "),
        ("[]", "x/frames.json is damaged: it has no 'format'"),
        ("3", "x/frames.json is damaged: "),
        (json.dumps({"format": "vidmoco.frames"}), "it has no 'version'"),
        (
            json.dumps(KEY | {"format": "other"}),
            "does not belong to prepared frames",
        ),
        (json.dumps(KEY | {"version": 7}), "another version of vidmoco (its format is 7, this ver"),
        (json.dumps(KEY | {"version": "1"}), "x/frames.json is damaged: 'version' is '1'"),
        (json.dumps(KEY | {"version": True}), "x/frames.json is damaged: 'version' is True"),
        ("[" * 100_000, "x/frames.json is damaged: "),
        (json.dumps({n: KEY[n] for n in KEY if n != "settings"}), "'settings' is None"),
        (json.dumps(KEY | {"num_frames": "3"}), "'num_frames' is '3'"),
        (json.dumps(KEY | {"frames": "../frames-1.parquet"}), "'frames' is '../frames-1.parquet'"),
        (json.dumps(KEY | {"sha256": {"frames": "a"}}), "'sha256' is {'frames': 'a'}"),
        (json.dumps(KEY | {"num_bytes": 3}), "'num_bytes' is 3"),
        (json.dumps({n: KEY[n] for n in KEY if n != "content"}), "'content' is None"),
        (json.dumps({n: KEY[n] for n in KEY if n != "sha256"}), "'sha256' is None"),
    ],
)
def test_a_key_that_is_none(text, expected):
    with pytest.raises(ConfigError) as caught:
        read_key(text, where="x")
    assert expected in str(caught.value)
    assert "format is 1, this version reads 1" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_that_is_not_the_keys():
    check_table("frames", b"abc", KEY, where="x")
    with pytest.raises(ConfigError, match=r"x/frames-2\.parquet is damaged: its SHA-256"):
        check_table("frames", b"abd", KEY, where="x")
    with pytest.raises(ConfigError, match="it has 2 bytes, expected 3"):
        check_table("frames", b"ab", KEY, where="x")


def test_keys_of_the_same_frames():
    assert same_frames(KEY, KEY | {"frames": "frames-9.parquet", "num_videos": 2, "sha256": {}})
    assert not same_frames(KEY, KEY | {"content": "c1"})
    assert not same_frames(KEY, KEY | {"format": "other"})
    assert not same_frames({}, KEY)


def test_numbers_of_tables():
    assert number_of_table("videos-12.parquet")[1] == "12"
    assert number_of_table("videos-1.parquet.part") is None
    assert number_of_table("mine-1.parquet") is None
