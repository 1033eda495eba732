"""Markup from templates, which escape all text, so names from strangers never become markup."""

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import groupby
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

# Control characters, and halves of surrogate pairs (from file names that are not UTF-8).
_NOT_IN_HTML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True)
class Section:
    """A part of the page with a title."""

    title: str
    parts: Sequence[str]
    """Markup, or text that gets escaped."""
    lead: str = ""
    """A line below the title."""
    short: str = ""
    """Name in the list at the top of the page; the default is the title."""


def render(template: str, /, **values: Any) -> Markup:
    """Return a template of ``templates/`` with its values; text in them is escaped."""
    return Markup(_TEMPLATES.get_template(f"{template}.html").render(values))


def table(
    head: Sequence[str], rows: Iterable[Iterable[str]], *, label: str, left: int = 1, foot: str = ""
) -> Markup:
    """Return a table, which scrolls if it is wide.

    The first ``left`` columns are text; the others are numbers, aligned to the right.
    """
    return render("table", head=head, rows=rows, label=label, left=left, foot=foot)


def paragraph(text: str, kind: str = "") -> Markup:
    """Return a paragraph; ``kind`` is its CSS class, such as ``lead`` or ``warning``."""
    return render("paragraph", text=text, kind=kind)


def code(text: str, *, block: bool = False) -> Markup:
    """Return monospaced text, inline or as a block."""
    return render("code", text=text, block=block)


def folded(title: str, *parts: str, is_open: bool = False) -> Markup:
    """Return parts that are shown after a click on their title."""
    return render("folded", title=title, parts=parts, is_open=is_open)


def command_line(text: str) -> Markup:
    """Return a command to copy, with line breaks preferably before its flags."""
    first, *flags = text.split(" --")
    return render("command_line", parts=[first, *(f"--{flag}" for flag in flags)])


def picture(image: Image.Image, *, alt: str) -> Markup:
    """Return a picture embedded in the page as JPEG."""
    buffer = BytesIO()
    image.convert("RGB").save(buffer, format="JPEG", quality=85)
    data = base64.b64encode(buffer.getvalue()).decode()
    return render("picture", data=data, width=image.width, height=image.height, alt=alt)


def _finalized(value: Any) -> Any:
    """Return a value as written to the page: floats with two decimals, text without controls."""
    if isinstance(value, float):
        return f"{round(value, 2):g}"
    if isinstance(value, str) and not isinstance(value, Markup):
        return _NOT_IN_HTML.sub("\ufffd", value)
    return value


def _groupby_in_order(items: Iterable[Any], attribute: str) -> list[tuple[Any, list[Any]]]:
    """Group consecutive items by an attribute. Jinja's own filter would sort them."""
    groups = groupby(items, lambda item: getattr(item, attribute))
    return [(key, list(some)) for key, some in groups]


_TEMPLATES = Environment(
    loader=PackageLoader("vidmoco.report"),
    autoescape=True,
    finalize=_finalized,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters["groupby_in_order"] = _groupby_in_order
