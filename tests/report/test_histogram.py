import pytest
from report_material import EVIL, Page

from vidmoco.report.histogram import histogram


def test_bars_have_the_height_of_their_shares():
    shares = [("asked", [0.2, 0.4, 0.0]), (EVIL, [0.1, 0.0, 0.3])]
    page = Page(histogram("t", shares, step=0.5, x_name="s", about="a"))
    bars = page.all("rect", class_="bar")
    heights = [float(bar["height"]) for bar in bars]
    assert len(bars) == 4  # none where there is none
    assert heights == pytest.approx([h * heights[1] for h in (0.5, 1, 0.25, 0.75)], abs=0.02)
    bottoms = {round(float(bar["y"]) + float(bar["height"]), 1) for bar in bars}
    assert len(bottoms) == 1
    lefts = [float(bar["x"]) for bar in bars]
    assert lefts[0] < lefts[2] < lefts[1] < lefts[3]
    assert [bar["class"] for bar in bars] == ["bar s0", "bar s0", "bar s1", "bar s1"]
    titles = [text for element, text in page.texts if element == "title"]
    assert titles[1] == "asked, 0.500 to 1: 40.0 %" and titles[3] == f"{EVIL}, 1 to 1.500: 30.0 %"
