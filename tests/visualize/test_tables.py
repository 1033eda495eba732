import csv
import io

import numpy as np
import pytest
from explore_features import feature_set, random_features
from rich.console import Console

from vidmoco.errors import ConfigError
from vidmoco.visualize.duplicates import DuplicatePair
from vidmoco.visualize.shots import Shot
from vidmoco.visualize.tables import duplicate_rows, print_first_rows, shot_rows, write_csv


def test_rows_say_file_and_time(tmp_path):
    features = feature_set(tmp_path, random_features(4), random_features(5))
    assert shot_rows(features, [Shot(row=6, similarity=0.5, usual=0.99, score=20)]) == [
        ("b.mp4", 2.0, "0.5000", "0.9900", "20.0")
    ]
    pair = DuplicatePair((0, 1), 3, 0.98764, (1, 2))
    within = DuplicatePair((1, 1), 2, 0.98, (1, 2))
    assert duplicate_rows(features, [pair, within], np.array([0, 3, 8])) == [
        ("a.mp4", "b.mp4", 3, "0.9876", 3.0, 4.0, "no"),
        ("a.mp4", "b.mp4", 2, "0.9800", 3.0, 4.0, "yes"),
    ]


def test_names_come_back_from_the_file_whatever_they_are(tmp_path):
    names = ['a,"b".mp4', "two\nlines.mp4", "你好.mp4", "\udc80.mp4"]
    write_csv(tmp_path / "a.csv", ("file", "seconds"), [(name, 1 / 3) for name in names])
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == ["file", "seconds"]
    assert [name for name, _ in rows] == [*names[:3], "\\udc80.mp4"]
    assert {float(time) for _, time in rows} == {1 / 3}  # the very time, to ask for it again


def test_the_first_rows_are_printed_escaped():
    console = Console(file=io.StringIO(), width=200, highlight=False, markup=False)
    rows = [("\x1b[31m[bold]\n", 0.0333333), *[("b.mp4", 1.0)] * 7]
    print_first_rows(console, ("file", "seconds"), rows)
    printed = console.file.getvalue()
    assert "\\x1b[31m[bold]\\n" in printed and "\x1b" not in printed
    assert "0.034" in printed and "and 3 more" in printed


def test_a_file_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_csv(tmp_path / "file" / "a.csv", ("file",), [])
