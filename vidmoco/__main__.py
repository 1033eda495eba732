"""``python -m vidmoco``."""

import sys

from vidmoco.cli.main import main

if __name__ == "__main__":  # spawned workers import this file again under another name
    sys.exit(main())
