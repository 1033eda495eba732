import pytest

from vidmoco.errors import ConfigError
from vidmoco.text import (
    counted,
    error_line,
    escaped,
    first_of,
    in_ascii,
    read_text,
    reason_of,
    seconds_of,
)

ODD = [
    ("a\"b'c\\d e.mp4", "a\"b'c\\d e.mp4", "a\"b'c\\d e.mp4"),  # as it is
    ("café", "café", "caf\\xe9"),
    ("\x1b[31m\n", "\\x1b[31m\\n", "\\x1b[31m\\n"),  # a terminal's command, a new line
    ("\udc80", "\\udc80", "\\udc80"),  # a byte that is no UTF-8
    ("\u202emp4.exe", "\\u202emp4.exe", "\\u202emp4.exe"),  # turns the direction around
    ("\U0001f600", "\U0001f600", "\\U0001f600"),
    (3, "3", "3"),
]


@pytest.mark.parametrize(("text", "shown", "ascii_"), ODD)
def test_what_could_be_obeyed_is_an_escape(text, shown, ascii_):
    assert escaped(text) == shown
    assert in_ascii(text) == ascii_


def test_the_reason_of_an_error_is_one_line():
    assert reason_of(ValueError("two\n  lines ")) == "two lines"
    assert reason_of(TimeoutError()) == "TimeoutError"


def test_one_is_no_plural():
    assert [counted(n, "video") for n in (0, 1, 2000)] == ["0 videos", "1 video", "2,000 videos"]


def test_the_first_of_many_names():
    assert first_of(["a"]) == "'a'"
    assert first_of(["a", "b", "c"]) == "'a', 'b', 'c'"
    assert first_of(["a", "b", "c", "d", "e"]) == "'a', 'b', 'c' and 2 more"


def test_an_error_is_one_line_that_ends():
    assert error_line("a\nb\x1b") == "a\\nb\\x1b"
    assert error_line("x" * 5000) == "x" * 4000 + "… (5,000 characters)"


def test_texts_of_users(tmp_path):
    path = tmp_path / "a.yaml"
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        path.write_text("größe: 3\n", encoding=encoding)
        assert read_text(path, what="recipe") == "größe: 3\n"
    path.write_text("größe: 3\n", encoding="latin-1")
    with pytest.raises(ConfigError, match=r"recipe .*a\.yaml: byte 2 is not UTF-8\. Save the file"):
        read_text(path, what="recipe")
    with pytest.raises(ConfigError, match=r"Cannot read the recipe .*: Is a directory"):
        read_text(tmp_path, what="recipe")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12.5", 12.5), ("0", 0.0), (" 3 ", 3.0), ("1e2", 100.0), ("-1", -1.0), ("0:01", 1.0),
        ("0:01.5", 1.5), ("90:00", 5400.0), ("1:02:03.25", 3723.25), ("01:02:03", 3723.0),
        ("100:00:00", 360000.0), ("0:01.", 1.0),
    ],
)  # fmt: skip
def test_a_time_in_seconds_or_as_players_write_it(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "x", ":1", "1:", "1:5", "0:60", "1:60:00", "1:5:00", "1:2:3:4", "-1:00", "1:0x"]
)
def test_what_is_no_time(text):
    with pytest.raises(ValueError):
        seconds_of(text)
