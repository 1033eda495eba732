import math
import re
from itertools import pairwise

import pytest
from report_material import EVIL, Page

from vidmoco.report.line_chart import COLOURS, DASHES, HEIGHT, WIDTH, Series, line_chart, thinned

LEFT, RIGHT, TOP, BOTTOM = 46, WIDTH - 12, 10, HEIGHT - 30


def paths(markup):
    """The lines of a chart: each a list of strokes, each a list of points."""
    found = [p["d"] for p in Page(markup).all("path", class_="line") if p["d"] != "M1 5L25 5"]
    return [
        [
            [tuple(map(float, point.split())) for point in stroke.split("L")]
            for stroke in path.split("M")[1:]
        ]
        for path in found
    ]


def test_points_are_where_their_values_are():
    series = [
        Series("a", [(0, 0.0), (5, 50.0), (10, 100.0)]),
        Series("b", [(0, 25.0), (10, 75.0)]),
    ]
    chart = line_chart("t", series, x_name="epoch")
    middle = (TOP + BOTTOM) / 2
    assert paths(chart) == [
        [[(LEFT, BOTTOM), ((LEFT + RIGHT) / 2, middle), (RIGHT, TOP)]],
        [[(LEFT, middle + (BOTTOM - TOP) / 4), (RIGHT, middle - (BOTTOM - TOP) / 4)]],
    ]
    dots = [(float(c["cx"]), float(c["cy"])) for c in Page(chart).all("circle", class_="s0")]
    assert dots == paths(chart)[0][0]


def test_ticks_stand_at_their_values():
    page = Page(line_chart("t", [Series("a", [(0, 0.0), (100, 100.0)])], x_name="step"))
    ticks = [(a, text) for (a, text) in zip(page.all("text"), texts(page), strict=True)]
    by_text = {text: attributes for attributes, text in ticks}
    assert float(by_text["50"]["y"]) == pytest.approx((TOP + BOTTOM) / 2 + 3.5)
    across = [a for a, text in ticks if text == "40"]
    assert float(across[0]["x"]) == pytest.approx(LEFT + 0.4 * (RIGHT - LEFT))
    lines = page.all("line", class_="grid")
    assert [float(line["y1"]) for line in lines] == [BOTTOM, (TOP + BOTTOM) / 2, TOP]


def texts(page):
    return [text for element, text in page.texts if element == "text"]


def test_a_mark_is_on_the_axis_even_beyond_the_values():
    chart = line_chart("t", [Series("a", [(0, 3.0), (1, 4.0)])], x_name="x", mark=(0.0, "chance"))
    page = Page(chart)
    (mark,) = page.all("line", class_="mark")
    assert float(mark["y1"]) == float(mark["y2"]) == BOTTOM
    # Its name is in the legend: in the drawing a curve would run through it.
    assert "chance" not in texts(page)
    assert [text for element, text in page.texts if element == "span"] == ["a", "chance"]
    assert [text for element, text in page.texts if element == "b"] == ["4", "0"]
    assert len(page.all("path", class_="mark")) == 1


def test_what_is_not_finite_is_a_gap():
    points = [(0, 1.0), (1, 2.0), (2, math.nan), (3, 1.0), (4, math.inf), (5, 2.0)]
    (strokes,) = paths(line_chart("t", [Series("a", points)], x_name="x"))
    assert [len(stroke) for stroke in strokes] == [2, 1, 1]
    nothing = [Series("a", [(0, math.nan)]), Series("b", [])]
    assert line_chart("t", nothing, x_name="x") == ""


def test_a_constant_and_a_single_point_are_drawn():
    (strokes,) = paths(line_chart("t", [Series("a", [(7, 5.0)])], x_name="x"))
    assert strokes == [[((LEFT + RIGHT) / 2, (TOP + BOTTOM) / 2)]]


def test_columns_cover_the_chart_and_say_what_is_there():
    series = [Series(EVIL, [(n, float(n)) for n in range(500)]), Series("b", [(499, 7.0)])]
    page = Page(line_chart("t", series, x_name="step", unit=" %"))
    columns = page.all("rect", class_="column")
    assert len(columns) == 100
    assert float(columns[0]["x"]) == LEFT
    edges = [(float(c["x"]), float(c["x"]) + float(c["width"])) for c in columns]
    assert edges[-1][1] == pytest.approx(RIGHT, abs=0.1)
    assert all(a[1] == pytest.approx(b[0], abs=0.02) for a, b in pairwise(edges))
    titles = [text for element, text in page.texts if element == "title"]
    assert titles[-1] == f"step 499\n{EVIL} 499.0 %\nb 7.0 %"
    assert titles[-2] == f"step 494\n{EVIL} 494.0 %"


def test_a_column_has_every_run_at_its_nearest_point():
    series = [
        Series("a\nb", [(0, 1.0), (10, 2.0), (20, 3.0)]),
        Series("c", [(0, 5.0), (13, 6.0)]),
        Series("none", []),
    ]
    page = Page(line_chart("t", series, x_name="step"))
    titles = [text for element, text in page.texts if element == "title"]
    assert titles == [
        "step 0\na b 1\nc 5",
        "step 10\na b 2\nc 6 (13)",
        "step 13\na b 2 (10)\nc 6",
        "step 20\na b 3",  # c has ended
    ]
    assert [c["data-lines"] for c in page.all("rect", class_="column")] == ["0 1"] * 3 + ["0"]
    assert [entry.get("data-line") for entry in page.all("li")] == ["0", "1"]
    assert len(page.all("g", class_="series")) == 3


def test_the_legend_has_last_values_and_the_looks_of_the_lines():
    series = [Series(f"n{n}", [(0, 1.0), (1, n + 0.5)]) for n in range(7)]
    page = Page(line_chart("t", series, x_name="x", unit=" %"))
    bold = [text for element, text in page.texts if element == "b"]
    assert bold == [f"{n + 0.5} %" for n in range(7)]
    looks = [p["class"] for p in page.all("path", class_="line")]
    assert len(set(looks)) == 7 and sorted(looks) == sorted(2 * looks[:7])
    assert math.gcd(COLOURS, DASHES) == 1


def test_own_ticks_name_the_columns_too():
    ticks = [(0.0, "1"), (1.0, "10")]
    series = [Series("a", [(0.0, 1.0), (1.0, 2.0)])]
    page = Page(line_chart("t", series, x_name="k", x_ticks=ticks))
    assert [text for element, text in page.texts if element == "title"] == ["k 1\na 1", "k 10\na 2"]


def test_many_points_are_thinned_and_peaks_stay():
    points = [(n, math.sin(n / 900)) for n in range(10_000)]
    points[5_555] = (5_555, 9.0)
    points[7_777] = (7_777, math.nan)
    kept = thinned(points)
    assert len(kept) <= 400 and kept == sorted(kept)
    assert (5_555, 9.0) in kept
    assert not any(math.isnan(y) for _, y in kept)
    assert thinned(points[:400]) == points[:400]
    assert all(math.isnan(y) for _, y in thinned([(n, math.nan) for n in range(1000)]))


def test_names_are_escaped_everywhere():
    chart = line_chart(EVIL, [Series(EVIL, [(0, 1.0)])], x_name=EVIL, about=EVIL)
    assert not re.search("<script|</style", chart)
    assert Page(chart).text.count("alert(1)") == 6  # title, about, legend, axis, column twice
