"""What the page's own scripts do, in a browser."""

import numpy as np
import pytest
from chromium import Chromium
from explore_features import random_features, write_features
from markupsafe import Markup
from report_material import EVIL, chromium_or_skip, results, row

from vidmoco.errors import ConfigError
from vidmoco.features.feature_set import open_features
from vidmoco.report import feature_sections as module
from vidmoco.report.feature_sections import feature_sections
from vidmoco.report.line_chart import Series, line_chart
from vidmoco.report.markup import Section, render, table
from vidmoco.report.page import page
from vidmoco.report.results_sections import results_section

NAME = """"><img src=x onerror=document.title='ran'><script>document.title='ran'</script>"""
NUMBERS = [Markup("9<small>1.0–2.0</small>"), "1,234", "−0.5", "–", "10 %", "3.1e-5"]
ACTIVE = "[...document.querySelectorAll('.tile')].indexOf(document.activeElement)"
SCORES = [("a", 20.0), ("b", 9.0), ("c", 30.0)]
WORDS = ["run10", "run9", "b", EVIL, "a", "–"]


def without_tsne():
    raise ConfigError("t-SNE needs scikit-learn")


@pytest.fixture(scope="module")
def alive(tmp_path_factory):
    """A page of strangers' names, with two tables, two charts of two runs, and a map."""
    folder = tmp_path_factory.mktemp("alive")
    for n in range(4):
        source = folder / f"{NAME.replace('/', '_')}{n}.mp4"
        path = folder / "feats" / f"{n}.npy"
        write_features(path, random_features(60, seed=n), source=source)
    runs = [
        Series(NAME, [(0, 1.0), (10, 2.0), (20, 3.0)]),
        Series("second", [(0, 5.0), (13, 6.0), (20, 7.0)]),
    ]
    charts = [line_chart(title, runs, x_name="step") for title in ("one", "two")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "require_tsne", without_tsne)
        sections = feature_sections(open_features(folder / "feats"))
    rows = zip(WORDS, NUMBERS, strict=True)
    sections += [
        Section("t", [table(["name", "value"], rows, label="t")]),
        Section("c", [render("charts", charts=charts, notes=[], warning="")]),
        results_section(results(*(row(n, knn=k) for n, k in SCORES)), name=""),
    ]
    path = folder / "page.html"
    path.write_text(page(title=NAME, kind="", header=[], sections=sections, foot=NAME))
    return path


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with Chromium(chromium_or_skip(), tmp_path_factory.mktemp("chromium") / "profile") as browser:
        yield browser


@pytest.fixture
def browser(chromium, alive):
    chromium.open(alive, width=1000, height=800, dark=False)
    yield chromium
    assert chromium.complaints() == []
    assert chromium.value("document.title") == f"{NAME} · vidmoco"


def texts(browser, selector):
    return browser.value(f"[...document.querySelectorAll('{selector}')].map(e => e.textContent)")


def press(browser, key):
    for kind in ("keyDown", "keyUp"):
        text = {"text": key} if len(key) == 1 and kind == "keyDown" else {}
        browser.call("Input.dispatchKeyEvent", type=kind, key=key, **text)


def mouse(browser, kind, place, **more):
    browser.call("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], **more)


def middle(browser, expression):
    """Bring an element into the window and return its middle."""
    return browser.value(
        f"(() => {{ const e = {expression};"
        "e.scrollIntoView({block: 'center', behavior: 'instant'});"
        "const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"
    )


def test_names_stay_text_in_all_that_scripts_make(browser):
    images = "document.querySelectorAll('main img').length"
    before = browser.value(images)  # of the nearest neighbours
    for number in (0, 200):
        browser.value(f"document.querySelectorAll('.tile')[{number}].focus()")
        assert "onerror" in texts(browser, ".card")[0]
    browser.value("document.querySelectorAll('.chart > svg')[0].focus()")
    assert NAME in texts(browser, ".chart .tip")[0]
    browser.value("document.querySelectorAll('th button').forEach(b => b.click())")
    assert browser.value(images) == before
    assert browser.value("document.scripts.length") == 1


def test_a_column_sorts_up_down_and_as_it_was(browser):
    def click(number):
        browser.value(f"document.querySelectorAll('thead button')[{number}].click()")
        order = browser.value(
            "[...document.querySelectorAll('section table')[0].tHead.rows[0].cells]"
            ".map(c => c.getAttribute('aria-sort'))"
        )
        return order, texts(browser, f"section:nth-of-type(3) td:nth-child({number + 1})")

    assert click(1) == ([None, "ascending"], ["−0.5", "3.1e-5", "91.0–2.0", "10 %", "1,234", "–"])
    assert click(1) == ([None, "descending"], ["1,234", "10 %", "91.0–2.0", "3.1e-5", "−0.5", "–"])
    assert click(0)[1] == [EVIL, "a", "b", "run9", "run10", "–"]
    assert click(0) == (["descending", None], ["run10", "run9", "b", "a", EVIL, "–"])
    assert click(0) == ([None, None], WORDS)
    assert click(1)[0] == [None, "ascending"]


def test_intervals_and_best_values_move_with_their_rows_by_enter(browser):
    names = "td.name"
    before = texts(browser, f".scores {names}")
    buttons = "[...document.querySelectorAll('.scores thead button')]"
    browser.value(f"{buttons}[1].focus()")
    browser.call("Input.dispatchKeyEvent", type="keyDown", key="Enter", code="Enter", text="\r")
    after = texts(browser, f".scores {names}")
    tables = browser.value("document.querySelectorAll('.scores').length")
    assert tables == 2 and len(before) == 6
    assert [text[0] for text in before] == list("abcabc")
    # The linear probe is equal in all rows, so the first table stays; the other sorts by k-NN.
    assert [text[0] for text in after] == list("abcabc")
    browser.value(f"{buttons}.filter(b => b.textContent == 'k = 1')[0].click()")
    assert [text[0] for text in texts(browser, f".scores {names}")] == list("abcbac")
    best = ".scores:last-of-type tr:last-child td.best"
    assert browser.value(f"document.querySelectorAll('{best} small').length") > 0


def test_a_place_in_a_chart_says_its_step_and_the_value_of_every_run(browser):
    at = middle(browser, "document.querySelectorAll('.column')[1]")
    mouse(browser, "mouseMoved", at)
    words = "[...document.querySelectorAll('.chart .tip')[0].children].map(e => e.textContent)"
    assert browser.value(words) == ["step 10", f"{NAME} 2", "second 6 (13)"]
    assert browser.value("document.querySelectorAll('.tip title, .column title').length") == 0
    mouse(browser, "mouseMoved", (5, 5))
    assert browser.value("document.querySelector('.chart .tip').hidden")
    browser.value("document.querySelector('.chart > svg').focus()")
    assert browser.value(words)[0] == "step 20"
    press(browser, "ArrowLeft")
    assert browser.value(words) == ["step 13", f"{NAME} 2 (10)", "second 6"]
    for key, step in (("Home", "0"), ("ArrowLeft", "0"), ("ArrowRight", "10"), ("End", "20")):
        press(browser, key)
        assert browser.value(words)[0] == f"step {step}"
    press(browser, "Escape")
    assert browser.value("document.querySelector('.chart .tip').hidden")


def test_a_run_is_hidden_in_all_charts_of_the_section(browser):
    lines = (
        "[...document.querySelectorAll('.series')].slice(0, 4)"
        ".map(e => getComputedStyle(e).visibility)"
    )
    buttons = "document.querySelectorAll('.legend button')"
    assert browser.value(lines) == ["visible"] * 4
    browser.value(f"{buttons}[0].click()")
    assert browser.value(lines) == ["hidden", "visible"] * 2
    pressed = f"[...{buttons}].slice(0, 4).map(b => b.getAttribute('aria-pressed'))"
    assert browser.value(pressed) == ["false", "true"] * 2
    browser.value("document.querySelector('.chart > svg').focus()")
    assert browser.value("document.querySelector('.chart .tip').children.length") == 2
    browser.value(f"{buttons}[2].click()")
    assert browser.value(lines) == ["visible"] * 4


def transforms(browser):
    found = browser.value(
        "[...document.querySelectorAll('.tile')].map(t => {"
        "const r = t.getBoundingClientRect(), m = document.querySelector('.map')"
        ".getBoundingClientRect(); return [r.x + r.width / 2 - m.x, r.y + r.height / 2 - m.y]; })"
    )
    return np.array(found)


def dots(browser):
    return browser.value("document.querySelectorAll('.tile.dot').length")


def zoom(browser, before):
    """Return how many times as far frames are from each other as in ``before``."""
    return np.ptp(transforms(browser), axis=0) / np.ptp(before, axis=0)


def test_the_map_zooms_by_wheel_buttons_and_keys_and_is_reset(browser):
    middle(browser, "document.querySelector('.map')")
    before, many = transforms(browser), dots(browser)
    assert many > 50
    place = middle(browser, "document.querySelectorAll('.tile')[3]")
    mouse(browser, "mouseMoved", place)
    mouse(browser, "mouseWheel", place, deltaX=0, deltaY=-125)
    assert zoom(browser, before) == pytest.approx([2**0.5, 2**0.5], rel=0.01)
    top_left = browser.value(
        "(() => { const r = document.querySelector('.map').getBoundingClientRect();"
        "return [r.x, r.y]; })()"
    )
    # What is below the pointer stays there.
    assert transforms(browser)[3] + top_left == pytest.approx(place, abs=1)
    assert dots(browser) < many
    mouse(browser, "mouseWheel", place, deltaX=0, deltaY=125)
    assert transforms(browser) == pytest.approx(before, abs=0.2)
    tools = "document.querySelectorAll('.tools button')"
    for _ in range(3):
        browser.value(f"{tools}[0].click()")
    assert zoom(browser, before) == pytest.approx([1.5**3, 1.5**3], rel=0.01)
    browser.value(f"{tools}[1].click()")
    assert zoom(browser, before) == pytest.approx([1.5**2, 1.5**2], rel=0.01)
    browser.value(f"{tools}[2].click()")
    assert transforms(browser) == pytest.approx(before, abs=0.2)
    browser.value("document.querySelector('.tile').focus()")
    press(browser, "+")
    press(browser, "+")
    assert zoom(browser, before) == pytest.approx([1.5**2, 1.5**2], rel=0.01)
    press(browser, "-")
    assert zoom(browser, before) == pytest.approx([1.5, 1.5], rel=0.01)
    for _ in range(20):
        press(browser, "+")
    assert zoom(browser, before) == pytest.approx([40, 40], rel=0.01)
    press(browser, "0")
    assert transforms(browser) == pytest.approx(before, abs=0.2)


def test_a_wheel_that_scrolls_the_page_does_not_begin_to_zoom(browser):
    place = middle(browser, "document.querySelector('.map')")
    before = transforms(browser)
    mouse(browser, "mouseWheel", place, deltaX=0, deltaY=125)  # there is nothing to zoom out of
    mouse(browser, "mouseWheel", place, deltaX=0, deltaY=-125)  # so the gesture is the page's
    assert zoom(browser, before) == pytest.approx([1, 1], rel=0.01)


def test_dragging_moves_the_map_and_not_beyond_its_frames(browser):
    place = middle(browser, "document.querySelector('.map')")
    browser.value("document.querySelector('.tools button').click()")
    before = transforms(browser)

    def drag(dx, dy):
        mouse(browser, "mousePressed", place, button="left", clickCount=1)
        for part in (0.5, 1):
            to = (place[0] + part * dx, place[1] + part * dy)
            mouse(browser, "mouseMoved", to, button="left", buttons=1)
        assert browser.value("document.querySelector('.card').hidden")  # not in the way
        mouse(browser, "mouseReleased", to, button="left", clickCount=1)

    drag(-40, 25)
    assert transforms(browser) - before == pytest.approx(np.full((240, 2), [-40, 25]), abs=0.3)
    drag(400, 300)
    outermost = transforms(browser).min(axis=0)
    half = np.array([36, 27]) * 1.5**0.2  # of a picture, which has grown
    assert outermost == pytest.approx(half, abs=2)
    there = transforms(browser)
    mouse(browser, "mousePressed", place, button="left", clickCount=1)
    mouse(browser, "mouseMoved", (place[0] - 50, place[1]), buttons=0)  # released elsewhere
    assert transforms(browser) == pytest.approx(there, abs=0.2)
    mouse(browser, "mouseReleased", place, button="left", clickCount=1)


def test_two_fingers_pinch(browser):
    x, y = middle(browser, "document.querySelector('.map')")
    before = transforms(browser)

    def touch(kind, *places):
        points = [{"x": x + dx, "y": y, "id": n} for n, dx in enumerate(places)]
        browser.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)

    touch("touchStart", -50)
    touch("touchStart", -50, 50)
    touch("touchMove", -100, 100)
    touch("touchEnd")
    assert zoom(browser, before) == pytest.approx([2, 2], rel=0.02)


def test_a_frame_that_is_pointed_at_or_focused_shows_picture_video_and_time(browser):
    place = middle(browser, "document.querySelectorAll('.tile')[0]")
    mouse(browser, "mouseMoved", place)
    card = "document.querySelector('.card')"
    assert not browser.value(f"{card}.hidden")
    assert texts(browser, ".card")[0].endswith(" s") and ".mp4 at " in texts(browser, ".card")[0]
    assert browser.value("document.querySelectorAll('.tile.same').length") == 60  # of its video
    mouse(browser, "mouseMoved", (3, 3))
    assert browser.value(f"{card}.hidden")
    assert browser.value("document.querySelectorAll('.tile.same').length") == 0
    browser.value("document.querySelector('.tile').focus()")
    parts = "[...document.querySelectorAll('.tile.on, .card svg')].map(s => s.viewBox.baseVal.x)"
    spots = transforms(browser)
    for key, axis, sign in (("Right", 0, 1), ("Down", 1, 1), ("Left", 0, -1), ("Up", 1, -1)) * 2:
        before = browser.value(ACTIVE)
        press(browser, f"Arrow{key}")
        away = spots - spots[before]
        along, across = sign * away[:, axis], np.abs(away[:, 1 - axis])
        assert browser.value(ACTIVE) == np.where(along > 0, along + 2 * across, np.inf).argmin()
        shown = browser.value(parts)
        assert len(shown) == 2 and shown[0] == shown[1]
        assert texts(browser, ".card") == [
            browser.value(f"document.querySelectorAll('.tile')[{ACTIVE}].ariaLabel")
        ]
    press(browser, "Escape")
    assert browser.value(f"{card}.hidden")
    focused = browser.value(f"document.querySelectorAll('.tile')[{ACTIVE}].ariaLabel")
    pictures = "[...document.querySelectorAll('.tile:not(.dot)')]"
    another = f"{pictures}.find(t => t !== document.activeElement)"
    mouse(browser, "mouseMoved", middle(browser, another))
    assert texts(browser, ".card") != [focused]
    blank = (
        "(() => { const r = document.querySelector('.map').getBoundingClientRect();"
        "for (let x = r.x + 5; ; x += 5) for (let y = r.y + 5; y < r.bottom; y += 5)"
        "if (document.elementFromPoint(x, y).className == 'map') return [x, y]; })()"
    )
    for away in (browser.value(blank), (3, 3)):
        mouse(browser, "mouseMoved", away)
        assert texts(browser, ".card") == [focused] and not browser.value(f"{card}.hidden")


def test_arrows_bring_frames_into_view_and_tab_comes_back_to_the_last_one(browser):
    middle(browser, "document.querySelector('.map')")
    browser.value("document.querySelector('.tile').focus()")
    for _ in range(6):
        press(browser, "+")
    for _ in range(12):
        press(browser, "ArrowRight")
        x, y = transforms(browser)[browser.value(ACTIVE)]
        wide, high = browser.value(
            "(() => { const m = document.querySelector('.map'); return [m.clientWidth,"
            "m.clientHeight]; })()"
        )
        assert 0 <= x <= wide and 0 <= y <= high
    stops = "[...document.querySelectorAll('.tile')].map((t, n) => t.tabIndex ? -1 : n)"
    assert [n for n in browser.value(stops) if n >= 0] == [browser.value(ACTIVE)]


def test_the_card_stays_within_a_narrow_map(browser, alive):
    browser.open(alive, width=400, height=800, dark=True)
    for number in range(0, 240, 24):
        browser.value(f"document.querySelectorAll('.tile')[{number}].focus()")
        assert browser.value(
            "(() => { const c = document.querySelector('.card').getBoundingClientRect();"
            "return c.left >= 0 && c.right <= 400; })()"
        )
    assert browser.value("document.documentElement.scrollWidth") <= 400


def test_paper_and_a_page_without_scripts_have_the_grid(browser, alive):
    shown = (
        "[...document.querySelectorAll('.tile')].filter(t => getComputedStyle(t).display != 'none')"
        ".length"
    )
    grid = "getComputedStyle(document.querySelector('.map')).display"
    tools = "getComputedStyle(document.querySelector('.tools')).display"
    assert browser.value(shown) == 240 and browser.value(grid) == "block"
    browser.call("Emulation.setEmulatedMedia", media="print")
    on_paper = browser.value(shown)
    assert 50 < on_paper <= 126 and browser.value(grid) == "grid"
    assert browser.value(tools) == "none"
    browser.call("Emulation.setEmulatedMedia", media="")
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(alive, width=1000, height=800, dark=False)
        # The test's own expressions run all the same.
        assert browser.value(shown) == on_paper and browser.value(grid) == "grid"
        assert browser.value("document.querySelectorAll('button').length") == 0
        assert browser.value("document.querySelectorAll('.tile > title').length") == 240
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
