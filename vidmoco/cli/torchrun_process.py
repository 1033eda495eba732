"""One of the processes that torchrun starts for ``extract --engine torchrun``."""

import json
import sys

from vidmoco.cli.main import exit_code_of
from vidmoco.config.extract import ExtractCommand
from vidmoco.config.plain import from_python
from vidmoco.features.extract_command import extract

if __name__ == "__main__":
    given = from_python(ExtractCommand, json.loads(sys.argv[1]))
    sys.exit(exit_code_of(lambda: extract(given)))
