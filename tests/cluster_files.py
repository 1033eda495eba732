"""Commands in documents and scripts, and the files of examples/, read as far as a test can."""

import re
import shlex
from pathlib import Path

from vidmoco.cli.flags import parse
from vidmoco.cli.main import COMMANDS

ROOT = Path(__file__).parent.parent
CLUSTER = ROOT / "examples" / "cluster"
DOCKERFILE = ROOT / "examples" / "docker" / "Dockerfile"


def joined(text):
    """The lines of a shell script, those that end in a backslash with the next."""
    return re.sub(r"\\\n\s*", "", text).splitlines()


def commands(text):
    """The vidmoco commands in a script or a document, as lists of words without ``vidmoco``."""
    found = []
    for line in joined(text):
        for part in re.findall(r"(?:^|[ `;])vidmoco(?::[\w.-]+)? ([a-z-]+ [^`#&;]*)", line):
            words = shlex.split(re.sub(r"\$\{?(\w+)[^}\s\"]*\}?", _sample, part))
            found += [words] if words[0] in COMMANDS else []
    return found


def _sample(variable):
    return "8" if "CPUS" in variable[1] else f"the-{variable[1].lower()}"


def require_parsed(words):
    """Fail where a command has a flag or a value that there is not."""
    parse(COMMANDS[words[0]].settings, words[1:], prog=f"vidmoco {words[0]}")


def instructions(path):
    """The instructions of a Dockerfile: (name, the rest)."""
    lines = [line for line in joined(path.read_text()) if line.strip() and line[0] != "#"]
    return [tuple(line.split(maxsplit=1)) for line in lines]
