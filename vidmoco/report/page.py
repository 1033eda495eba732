"""The skeleton of the page: head, header, sections, foot. Nothing in it comes from elsewhere."""

from collections.abc import Sequence

from vidmoco.report.markup import Html, Section, element, joined
from vidmoco.report.style import STYLE

# No script, no request: even if a name from outside were taken for markup, nothing would run.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'"
)
GENERATOR = '<meta name="generator" content="vidmoco">'  # by which a report is known


def page(
    *, title: str, kind: str, header: Sequence[str], sections: Sequence[Section], foot: str
) -> Html:
    """Return the whole page.

    Args:
        title: The name of what is shown.
        kind: What it is, above the title.
        header: What follows the title.
        sections: What follows, in its order.
        foot: The last line.
    """
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        Html(GENERATOR),
        element("title", f"{title} · vidmoco"),
        element("style", Html(STYLE)),
    )
    links = [
        element("a", one.short or one.title, href=f"#part-{n}") for n, one in enumerate(sections, 1)
    ]
    body = element(
        "body",
        element(
            "main",
            element("header", element("p", kind, class_="kind"), element("h1", title), *header),
            *([element("nav", *links, aria_label="Sections")] if len(links) > 1 else []),
            *(_section(one, anchor=f"part-{n}") for n, one in enumerate(sections, 1)),
            element("footer", foot),
        ),
    )
    return joined([Html("<!DOCTYPE html>\n"), element("html", head, body, lang="en"), Html("\n")])


def _section(one: Section, *, anchor: str) -> Html:
    lead = [element("p", one.lead, class_="lead")] if one.lead else []
    return element("section", element("h2", one.title), *lead, *one.parts, id=anchor)
