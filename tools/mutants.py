"""Break one line of the methods at a time; a test must fail each time. Prints a Markdown table.

    python tools/mutants.py [NAME ...]

Each mutant is made in a copy of the checkout, in which its tests run until the first failure. The
exit code is 1 if any mutant survives. The mutants are in mutants.yaml.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Mutant:
    """A line and its broken version."""

    name: str
    file: str
    line: str
    broken: str
    tests: str


def read_mutants() -> list[Mutant]:
    """Return the mutants of mutants.yaml."""
    table = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    mutants = []
    for file, named in table.items():
        room, _, stem = file.removeprefix("vidmoco/").rpartition("/")
        for name, (line, broken, *elsewhere) in named.items():
            tests = elsewhere[0] if elsewhere else f"tests/{room}/test_{stem}"
            mutants.append(Mutant(name, file, line, broken, tests))
    return mutants


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of names of mutants; the default is all")
    given = parser.parse_args()
    chosen = [
        mutant
        for mutant in read_mutants()
        if not given.names or any(part in mutant.name for part in given.names)
    ]
    print("| broken | in | seen by | seconds |\n|---|---|---|---|")
    survivors = [mutant.name for mutant in chosen if not is_seen(mutant)]
    print(f"\n{len(chosen) - len(survivors)} of {len(chosen)} were seen.")
    sys.exit(f"Survived: {', '.join(survivors)}" if survivors else 0)


def is_seen(mutant: Mutant) -> bool:
    """Return whether a test fails; print a row of the table."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary) / "checkout"
        shutil.copytree(
            ROOT, copy, ignore=shutil.ignore_patterns(".*", "runs", "__pycache__", "docs")
        )
        path = copy / mutant.file
        text = path.read_text(encoding="utf-8")
        if text.count(mutant.line) < 1:
            raise SystemExit(f"{mutant.file} has no line {mutant.line!r} to break")
        path.write_text(text.replace(mutant.line, mutant.broken), encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [*command, mutant.tests],
            cwd=copy,
            env={"PYTHONPATH": str(copy), "PATH": "/usr/bin:/bin", "HOME": temporary},
            capture_output=True,
            text=True,
            check=False,
        )
    red = done.returncode == 1
    nonsense = re.search(r"^E +(Name|Syntax|Import|Type|Attribute)Error", done.stdout, re.MULTILINE)
    if done.returncode not in (0, 1) or nonsense:  # the mutant breaks the program, not its results
        raise SystemExit(f"{mutant.name}: the tests do not run.\n{done.stdout}{done.stderr}")
    seen = mutant.tests if red else "**nothing**"
    seconds = time.monotonic() - began
    print(f"| {mutant.name} | {mutant.file} | {seen} | {seconds:.0f} |", flush=True)
    return red


if __name__ == "__main__":
    main()
