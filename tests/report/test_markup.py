import base64

from report_material import EVIL, Page

from vidmoco.report.markup import (
    Html,
    command_line,
    element,
    escaped,
    folded,
    joined,
    picture,
    table,
)


def test_text_is_escaped_and_markup_is_not():
    inner = element("b", EVIL, title=EVIL)
    page = Page(element("p", "<i>", inner, class_="a", aria_label='"'))
    assert page.elements == [
        ("p", {"class": "a", "aria-label": '"'}),
        ("b", {"title": EVIL}),
    ]
    assert page.texts == [("p", "<i>"), ("b", EVIL)]
    assert joined(["<", Html("<br>")], " & ") == "&lt; &amp; <br>"


def test_attributes():
    made = element("details", open=True, hidden=False, id=None, stroke_width=1.23456, tabindex=0)
    assert made == '<details open stroke-width="1.23" tabindex="0"></details>'
    assert element("br") == "<br>"


def test_what_no_page_may_hold_is_shown_as_such():
    name = b"caf\xe9\x00\x1b[31m.mp4".decode("utf-8", "surrogateescape")
    assert escaped(name) == "caf\ufffd\ufffd\ufffd[31m.mp4"
    escaped(name).encode()


def test_tables_scroll_in_a_box_and_numbers_end_at_the_right():
    made = table(["<name>", "n"], [[EVIL, "1"], [element("td", "x"), "2"]], label=EVIL, foot="&")
    page = Page(made)
    (box,) = page.all("div", class_="scroll")
    assert box["tabindex"] == "0" and box["aria-label"] == EVIL
    assert [cell.get("class") for cell in page.all("td")] == [None, "number", None, "number"]
    assert ("td", EVIL) in page.texts and ("p", "&") in page.texts


def test_a_command_can_be_copied_as_it_is():
    text = "vidmoco pretrain 'my videos' --recipe a --lr 0.1"
    assert Page(command_line(text)).text == text
    page = Page(folded(EVIL, "b", open_=True))
    assert page.all("details") == [{"open": None}] and ("summary", EVIL) in page.texts


def test_pictures_are_in_the_page():
    (image,) = Page(picture(b"abc", kind="jpeg", width=3, height=2, alt=EVIL)).all("img")
    assert image["src"] == f"data:image/jpeg;base64,{base64.b64encode(b'abc').decode()}"
    assert (image["width"], image["height"], image["alt"]) == ("3", "2", EVIL)
