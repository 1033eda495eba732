"""The skeleton of the page: head, header, sections, foot. Nothing in it comes from elsewhere."""

from collections.abc import Sequence

from markupsafe import Markup

from vidmoco.report.markup import Section, render
from vidmoco.report.style import STYLE

# No script, no request: even if a name from outside were taken for markup, nothing would run.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'"
)
GENERATOR = '<meta name="generator" content="vidmoco">'  # by which a report is known


def page(
    *, title: str, kind: str, header: Sequence[str], sections: Sequence[Section], foot: str
) -> str:
    """Return the whole page.

    Args:
        title: The name of what is shown.
        kind: What it is, above the title.
        header: What follows the title.
        sections: What follows, in its order.
        foot: The last line.
    """
    return str(
        render(
            "page",
            policy=_POLICY,
            generator=Markup(GENERATOR),
            style=Markup(STYLE),
            title=title,
            kind=kind,
            header=header,
            sections=sections,
            foot=foot,
        )
    )
