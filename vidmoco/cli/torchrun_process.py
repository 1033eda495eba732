"""One of the processes that torchrun starts for ``extract --engine torchrun``."""

import json
import sys
from pathlib import Path

from vidmoco.ahead import load_libraries
from vidmoco.cli.main import exit_code_of
from vidmoco.cli.program import program
from vidmoco.config.extract import ExtractCommand
from vidmoco.config.plain import from_python
from vidmoco.interrupt import stops_raise


def _extract() -> int:
    load_libraries()
    from vidmoco.features.extract_command import extract

    given = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    with stops_raise():
        return extract(from_python(ExtractCommand, given))


if __name__ == "__main__":
    program(lambda: exit_code_of(_extract))
