"""HTML and SVG elements. Text is escaped where it enters: names from outside are never markup."""

import base64
import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# HTML's elements without content, as far as the report has them.
_VOID = {"meta", "img", "br"}


class Html(str):
    """Text that is markup already; all other text is escaped when it enters an element."""

    __slots__ = ()


def element(name: str, /, *children: str, **attributes: str | float | bool | None) -> Html:
    """Return ``<name ...>children</name>``.

    Names of attributes are written as Python names: ``class_`` is class, ``stroke_width`` is
    stroke-width. An attribute that is None or False is left out, one that is True has no value.
    """
    words = [name]
    for given, value in attributes.items():
        if value is None or value is False:
            continue
        key = given.rstrip("_").replace("_", "-")
        words.append(key if value is True else f'{key}="{escaped(_plain(value))}"')
    opening = f"<{' '.join(words)}>"
    return Html(opening if name in _VOID else f"{opening}{joined(children)}</{name}>")


def escaped(text: str) -> Html:
    """Return text as markup that shows it; what no HTML page may hold is shown as U+FFFD."""
    if isinstance(text, Html):
        return text
    # Control characters, and halves of surrogate pairs (from file names that are no UTF-8).
    shown = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]", "\ufffd", text)
    return Html(html.escape(shown, quote=True))


def joined(parts: Iterable[str], between: str = "") -> Html:
    """Return parts after one another, each escaped unless it is markup."""
    return Html(escaped(between).join(escaped(part) for part in parts))


@dataclass(frozen=True)
class Section:
    """A part of the page with a title."""

    title: str
    parts: Sequence[str]
    lead: str = ""
    """A quiet line under the title."""
    short: str = ""
    """Its name in the list at the top of the page; empty: the title."""


def table(
    head: Sequence[str], rows: Iterable[Iterable[str]], *, label: str, left: int = 1, foot: str = ""
) -> Html:
    """Return a table in a box of its own, in which it scrolls where it is wide.

    A cell that is a ``<td>`` already stays one. The first ``left`` columns are text, the others
    numbers, which end at the right.
    """

    def sided(n: int) -> str | None:
        return None if n < left else "number"

    def cell(n: int, text: str) -> Html:
        is_cell = isinstance(text, Html) and text.startswith("<td")
        return text if is_cell else element("td", text, class_=sided(n))  # type: ignore[return-value]

    top = element(
        "tr", *(element("th", text, scope="col", class_=sided(n)) for n, text in enumerate(head))
    )
    body = [element("tr", *(cell(n, text) for n, text in enumerate(row))) for row in rows]
    inner = element("table", element("thead", top), element("tbody", *body))
    # A box that scrolls must be reachable without a mouse.
    box = element("div", inner, class_="scroll", tabindex=0, role="region", aria_label=label)
    return joined([box, element("p", foot, class_="foot")] if foot else [box])


def folded(title: str, *parts: str, open_: bool = False) -> Html:
    """Return parts that are shown on a click on their title."""
    return element("details", element("summary", title), *parts, open=open_)


def command_line(text: str) -> Html:
    """Return a command to copy; its lines are broken before its flags where that is enough."""
    first, *flags = text.split(" --")
    parts = [element("span", part) for part in (first, *(f"--{flag}" for flag in flags))]
    return element("pre", element("code", joined(parts, " ")), class_="command", tabindex=0)


def picture(data: bytes, *, kind: str, width: int, height: int, alt: str) -> Html:
    """Return an image whose bytes are in the page; ``kind`` is ``jpeg`` or ``png``."""
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return element("img", src=source, width=width, height=height, alt=alt)


def _plain(value: str | float) -> str:
    """Return an attribute's value; numbers as short as a pixel needs them."""
    return value if isinstance(value, str) else f"{round(value, 2):g}"
