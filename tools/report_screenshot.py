#!/usr/bin/env python
"""Take a picture of the top of a report, such as docs/report.png, or of some of its charts.

    vidmoco demo -o demo
    python tools/report_screenshot.py demo/report.html docs/report.png --height 1500
    python tools/report_screenshot.py results.html docs/finetune.png --charts "by epoch"

It needs Chromium on the PATH.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from chromium import Chromium

# Removes everything but some charts from the page, and returns their total height.
_KEEP = """(() => {
  const charts = [...document.querySelectorAll('figure')].filter(
    figure => figure.querySelector('strong')?.textContent.includes(TEXT));
  if (!charts.length) return 0;
  const box = charts[0].parentElement;
  box.replaceChildren(...charts);
  document.body.replaceChildren(box);
  document.body.style.padding = box.style.margin = '12px';
  return Math.ceil(box.getBoundingClientRect().bottom) + 24;
})()"""


def main() -> int:
    """Run, and return 0, or 2 for the user's mistake."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", type=Path, help="the report (.html)")
    parser.add_argument("picture", type=Path, help="the PNG to write")
    parser.add_argument("--width", type=int, default=1200, help="of the window, in pixels")
    parser.add_argument("--height", type=int, default=1000, help="of the window, in pixels")
    parser.add_argument("--charts", help="show only charts whose title contains this text")
    parser.add_argument("--dark", action="store_true", help="the dark theme")
    options = parser.parse_args()
    program = shutil.which("chromium")
    if program is None or not options.page.is_file():
        missing = "Chromium on the PATH" if program is None else f"file {options.page}"
        print(f"report_screenshot: There is no {missing}.", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as name:
        profile = Path(name) / "profile"
        profile.mkdir()
        with Chromium(program, profile) as browser:
            browser.open(
                options.page, width=options.width, height=options.height, dark=options.dark
            )
            if options.charts:
                keep = _KEEP.replace("TEXT", json.dumps(options.charts))
                box = browser.value(keep)
                if not box:
                    print(f"report_screenshot: No chart has {options.charts!r}.", file=sys.stderr)
                    return 2
                browser.resize(width=options.width, height=int(box))
            options.picture.write_bytes(browser.screenshot())
    return 0


if __name__ == "__main__":
    sys.exit(main())
