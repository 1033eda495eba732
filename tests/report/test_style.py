"""Colours that can be read and told apart, also by readers who see fewer of them."""

import itertools
import re

import numpy as np
import pytest

from vidmoco.report.line_chart import COLOURS, DASHES
from vidmoco.report.style import STYLE

LIGHT, DARK = re.findall(r":root\{([^}]*)\}", STYLE)[:2]
# Vienot, Brettel and Mollon 1999, "Digital video colourmaps": linear RGB as dichromats see it.
SEEN = {
    "protan": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
    "deutan": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
    "usual": np.eye(3),
}


def colours(theme):
    found = dict(re.findall(r"--([\w-]+):(#[0-9a-fA-F]{6})\b", theme))
    return {name: linear(code) for name, code in found.items()}


def linear(code):
    value = np.array([int(code[n : n + 2], 16) for n in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def contrast(a, b):
    """WCAG 2.2's contrast ratio."""
    high, low = sorted((float(c @ [0.2126, 0.7152, 0.0722]) for c in (a, b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def lab(colour):
    """CIELAB, D65."""
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.cbrt(np.clip(np.array(to_xyz) @ colour / [0.9505, 1, 1.089], 1e-4, None))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_and_lines_stand_out(theme):
    known = colours(theme)
    for text, ground in itertools.product(("ink", "quiet", "accent"), ("page", "card")):
        assert contrast(known[text], known[ground]) >= 4.5, (text, ground)
    assert contrast(known["ink"], known["best"]) >= 4.5
    assert contrast(known["quiet"], known["best"]) >= 4.5
    assert contrast(known["warn"], known["warn-card"]) >= 4.5
    for n in range(COLOURS):
        assert contrast(known[f"c{n}"], known["card"]) >= 3, n


@pytest.mark.parametrize("eyes", SEEN)
@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_the_first_lines_are_told_apart(theme, eyes):
    known = colours(theme)
    seen = [lab(np.clip(np.array(SEEN[eyes]) @ known[f"c{n}"], 0, 1)) for n in range(4)]
    for a, b in itertools.combinations(range(4), 2):
        assert np.linalg.norm(seen[a] - seen[b]) >= 12, (a, b)


def test_both_themes_have_all_that_is_used():
    used = set(re.findall(r"var\(--([\w-]+)\)", STYLE)) - {"c", "to", "wide", "share", "columns"}
    for theme in (LIGHT, DARK):
        assert used - set(re.findall(r"--([\w-]+):", theme)) == set()
    assert all(f".s{n}{{" in STYLE for n in range(COLOURS))
    assert all(f".d{n}{{" in STYLE for n in range(1, DASHES))


def test_paper_is_light_and_wide_tables_are_not_cut():
    assert "@media screen and (prefers-color-scheme:dark)" in STYLE
    assert ".scroll{overflow:visible;" in STYLE.partition("@media print")[2]
