"""The skeleton of the page: head, header, sections, foot. It loads nothing from elsewhere."""

from collections.abc import Sequence

from markupsafe import Markup

from vidmoco.report.markup import Section, render
from vidmoco.report.script import POLICY, SCRIPT
from vidmoco.report.style import STYLE

GENERATOR = '<meta name="generator" content="vidmoco">'  # identifies a report


def page(
    *, title: str, kind: str, header: Sequence[str], sections: Sequence[Section], foot: str
) -> str:
    """Return the whole page.

    Args:
        title: Name of the run or comparison.
        kind: What the page shows; stands above the title.
        header: Markup below the title.
        sections: In their order.
        foot: The last line.
    """
    return str(
        render(
            "page",
            policy=POLICY,
            generator=Markup(GENERATOR),
            style=Markup(STYLE),
            script=Markup(SCRIPT),
            title=title,
            kind=kind,
            header=header,
            sections=sections,
            foot=foot,
        )
    )
