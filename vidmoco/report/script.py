"""The page's own scripts, and the policy by which a browser runs these and no others."""

import base64
import hashlib
from importlib.resources import files

_PARTS = ("element", "tables", "charts", "frame_map")


def _joined() -> str:
    """Return all scripts, each in a block of its own, so that they share ``made`` alone."""
    folder = files("vidmoco.report") / "scripts"
    first, *others = ((folder / f"{name}.js").read_text(encoding="utf-8") for name in _PARTS)
    return "\n".join(['"use strict";\n{', first, *(f"{{\n{text}}}" for text in others), "}\n"])


SCRIPT = _joined()
"""JavaScript, which stands in the page as it is. It holds no end of a script or comment."""

_DIGEST = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
# No requests, and no scripts but this one: even if a stranger's name became markup, it would do
# nothing.
POLICY = (
    f"default-src 'none'; script-src 'sha256-{_DIGEST}'; style-src 'unsafe-inline'; "
    "img-src data:; base-uri 'none'; form-action 'none'"
)
