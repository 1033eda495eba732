import re

import pytest
from report_material import EVIL, Page

from vidmoco.report.interval_figure import interval_figure
from vidmoco.report.results_file import Column


def test_intervals_are_on_one_scale_with_chance():
    without = Column("k-NN", "k = 1", [1.0, 2.0], [None, (1.0, 3.0)])
    column = Column("linear probe", "top-1", [50.0, 80.0], [(40.0, 60.0), (70.0, 90.0)])
    page = Page(interval_figure(["a", EVIL], [without, column], num_classes=10))
    lines = [path["d"] for path in page.all("path", class_="range-line")]
    ends = [tuple(map(float, re.findall(r"[MH]([\d.]+)", d))) for d in lines]
    place = [3 + 94 * (v - 10) / 80 for v in (40, 60, 70, 90)]  # chance is 10
    assert [*ends[0], *ends[1]] == pytest.approx(place, abs=0.01)
    dots = [float(path["d"][1:].split()[0]) for path in page.all("path", class_="range-dot")]
    assert dots == pytest.approx([3 + 94 * (v - 10) / 80 for v in (50, 80)], abs=0.01)
    chance = {path["d"] for path in page.all("path", class_="range-chance")}
    assert chance == {"M3 0V26"}
    assert ("title", f"{EVIL}: 80.0 %, 70.0–90.0") in page.texts
    assert "linear probe, top-1" in page.text


def test_without_intervals_there_is_no_figure():
    assert interval_figure(["a"], [Column("g", "t", [1.0], [None])], num_classes=2) == ""
    assert interval_figure(["a"], [], num_classes=0) == ""
