"""``python -m vidmoco``."""

from vidmoco.cli.program import program

if __name__ == "__main__":  # spawned workers import this file again under another name
    program()
