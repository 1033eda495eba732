import base64
from io import BytesIO

import pytest
from jinja2 import UndefinedError
from markupsafe import Markup
from PIL import Image
from report_material import EVIL, Page

from vidmoco.report.markup import code, command_line, folded, paragraph, picture, render, table


def test_text_is_escaped_and_markup_is_not():
    page = Page(folded(EVIL, EVIL, Markup("<b>x</b>"), is_open=True))
    assert page.elements == [("details", {"open": None}), ("summary", {}), ("b", {})]
    assert page.texts == [("summary", EVIL), ("details", EVIL), ("b", "x")]
    assert Page(code(EVIL, block=True)).texts == [("code", EVIL)]
    quoted = Page(table(["a"], [["b"]], label=EVIL))
    assert quoted.all("div", class_="scroll")[0]["aria-label"] == EVIL


def test_what_no_page_may_hold_is_shown_as_such():
    name = b"caf\xe9\x00\x1b[31m.mp4".decode("utf-8", "surrogateescape")
    made = paragraph(name, "lead")
    assert made == '<p class="lead">caf\ufffd\ufffd\ufffd[31m.mp4</p>'
    made.encode()


def test_numbers_are_as_short_as_a_pixel_needs_them():
    assert render("paragraph", text=1.23456, kind="") == "<p>1.23</p>"
    assert render("paragraph", text=7.0, kind="") == "<p>7</p>"


def test_a_value_that_is_missing_is_an_error_and_not_a_hole():
    with pytest.raises(UndefinedError, match="kind"):
        render("paragraph", text="x")


def test_tables_scroll_in_a_box_and_numbers_end_at_the_right():
    made = table(["<name>", "n"], [[EVIL, "1"], [code("x"), "2"]], label=EVIL, foot="&")
    page = Page(made)
    (box,) = page.all("div", class_="scroll")
    assert box["tabindex"] == "0"
    assert [cell.get("class") for cell in page.all("td")] == [None, "number", None, "number"]
    assert [cell.get("class") for cell in page.all("th")] == [None, "number"]
    assert ("td", EVIL) in page.texts and ("p", "&") in page.texts


def test_a_command_can_be_copied_as_it_is():
    text = "vidmoco pretrain 'my videos' --recipe a --lr 0.1"
    assert Page(command_line(text)).text == text


def test_pictures_are_in_the_page():
    (image,) = Page(picture(Image.new("RGB", (3, 2), (200, 30, 60)), alt=EVIL)).all("img")
    kind, _, data = image["src"].partition(",")
    shown = Image.open(BytesIO(base64.b64decode(data)))
    assert (kind, shown.format, shown.size) == ("data:image/jpeg;base64", "JPEG", (3, 2))
    assert (image["width"], image["height"], image["alt"]) == ("3", "2", EVIL)
