"""The rooms of docs/architecture.md: who may import whom, who owns which library."""

import ast
import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "vidmoco"
FILES = sorted(PACKAGE.rglob("*.py"))
# These look things up for others, and are no room: the public names, and ``python -m vidmoco``.
DOORS = ("", "__main__")
OWNERS = {
    "decord": {"video.decord_reader"},
    "av": {"video", "demo.videos"},
    "timm": {"backbones", "methods.normalization", "evaluate.regularization"},
    "tyro": {"cli", "config"},
    "argparse": {"cli", "backbones.checkpoint_file"},
    "yaml": {"config"},
    "wandb": {"loggers.wandb"},
    "mlflow": {"loggers.mlflow"},
    "rich.table": {"console"},  # whose table escapes what strangers wrote
}


def rows():
    """The table of rooms: a folder, or a file at the top, in each row, and the files it names."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    table = text.partition("## Rooms")[2].partition("\n## ")[0]
    found = {}
    for room, what in re.findall(r"^\| `([\w/]+)` \| (.*) \|$", table, re.MULTILINE):
        name = room.strip("/").replace("/", ".").removeprefix("vidmoco")
        found[name] = set(re.findall(r"`(\w+)`", what))
    return found


ROWS = rows()


def name_of(path):
    return (
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        .removesuffix("__init__")
        .strip(".")
    )


NAMES = {name_of(path) for path in FILES}


def room_of(name):
    """The room of a module: its folder, or itself where the table has a row for it."""
    return name if name in ROWS else name.rpartition(".")[0]


@functools.cache
def imports_of(path):
    """Every imported module of a file, full names, wherever in the file it is imported."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@functools.cache
def own_imports_of(path):
    """The modules of vidmoco that a file imports, without ``vidmoco.``."""
    found = set()
    for imported in imports_of(path):
        target = imported.removeprefix("vidmoco.") if imported.startswith("vidmoco.") else ""
        while target and target not in NAMES:
            target = target.rpartition(".")[0]
        if target:
            found.add(target)
    return found


def test_every_folder_has_a_row():
    folders = {room_of(name_of(path)) for path in FILES if name_of(path) not in DOORS}
    assert folders == set(ROWS)


@pytest.mark.parametrize("path", [p for p in FILES if name_of(p) not in DOORS], ids=name_of)
def test_imports_run_one_way(path):
    order = list(ROWS)
    here = room_of(name_of(path))
    for target in own_imports_of(path):
        there = room_of(target)
        assert order.index(there) <= order.index(here), f"{name_of(path)} imports {target}"
        if here == "methods":
            assert there != "video"


@pytest.mark.parametrize("library", OWNERS)
def test_each_library_has_its_owners(library):
    owners = OWNERS[library]
    users = {
        name_of(path)
        for path in FILES
        if any(name == library or name.startswith(f"{library}.") for name in imports_of(path))
    }
    assert {user for user in users if not {user, user.partition(".")[0]} & owners} == set()


@pytest.mark.parametrize("room", ROWS)
def test_the_table_names_files_that_are_there(room):
    folder = PACKAGE / room.replace(".", "/")
    if not folder.is_dir():
        return
    files = {path.stem for path in folder.glob("*.py")} | {path.name for path in folder.iterdir()}
    assert ROWS[room] <= files


def test_no_import_cycles():
    edges = {name_of(p): own_imports_of(p) - {name_of(p)} for p in FILES if name_of(p)}
    while edges:
        leaves = {a for a, targets in edges.items() if not targets & edges.keys()}
        assert leaves, f"a cycle among {sorted(edges)}"
        edges = {a: targets for a, targets in edges.items() if a not in leaves}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_stay_small(path):
    number = len(path.read_text().splitlines())
    assert number <= 300, f"{path} has {number} lines. Split it by what it is about."


def test_no_room_is_named_for_nothing():
    names = {path.stem for path in FILES}
    assert not names & {"utils", "util", "misc", "common", "helpers", "helper", "engine", "core"}


def test_the_help_needs_nothing_heavy():
    code = """
import sys
from vidmoco.cli.commands import COMMANDS
from vidmoco.cli.main import main
for words in [["--help"]] + [[name, "--help"] for name in COMMANDS]:
    try:
        main(words)
    except SystemExit as exit:
        assert exit.code in (0, None), exit.code
heavy = {"torch", "numpy", "timm", "av", "decord", "pyarrow", "torchvision", "rich"}
heavy &= set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, stderr=subprocess.PIPE, text=True
    )
    assert done.returncode == 0, done.stderr


MISTAKES = [
    ["pretrain", "nowhere/"],
    ["pretrain", ".", "--backbone.weights", "no/where"],
    ["pretrain", ".", "--backbone.name", "./nowhere"],
    ["pretrain", ".", "--monitor", "nowhere"],
    ["pretrain", ".", "--optim.layer-decay", "2"],
    ["preview", "nowhere"],
    ["prepare", "nowhere", "-o", "frames"],
    ["extract", "nowhere.mp4", "-o", "x.npy"],
    ["extract", ".", "-o", "x", "--backbone", "random:no/where"],
    ["extract", ".", "-o", "x", "--backbone", "resnet5O"],
    ["evaluate", ".", "--backbone", "random:resnet5O"],
    ["pretrain", ".", "--backbone.name", "resnet5O"],
    ["evaluate", ".", "--backbone", "resnet18", "no/where"],
    ["search", "nowhere", "--query", "a.jpg"],
    ["search", ".", "--query", "a.jpg", "--backbone", "no/where"],
    ["explore", "nowhere"],
    ["export", "no/where", "--name", "x"],
    ["export", ".", "--to", "hub:kitchen", "--license", "mit"],
    ["export", ".", "--to", "hub:alice/kitchen"],
    ["export", ".", "--to", "hf-folder", "-o", "out", "--results", "nowhere.json"],
    ["scan", "nowhere"],
    ["extract", "@nowhere.txt", "-o", "out"],
    ["evaluate", "nowhere", "--backbone", "resnet18"],
    ["evaluate", ".", "--backbone", "resnet18", "--videos.labels", "nowhere.csv"],
    ["evaluate-detection", "--backbone", "resnet18", "--train", "nowhere.json:.", "--val", ".:val",
     "--run", "out"],
    ["evaluate-detection", "--backbone", "resnet18", "--train", ".:train", "--val", "nowhere:val",
     "--run", "out"],
    ["report", ".", "--features", "nowhere"],
    ["report", ".", "--results", "nowhere.json"],
    ["import", "nowhere.pth", "-o", "out"],
    ["report", "nowhere"],
    ["report", "nowhere.json"],
    ["search", ".", "--query", "a.jpg", "--backbone", "."],
    ["extract", ".", "-o", "x", "--backbone", "random:."],
    ["evaluate", ".", "--backbone", "."],
    ["export", ".", "--name", "x"],
    ["extract", ".", "-o", "x", "--format", "parquet", "--labels", "nowhere.csv"],
    ["prepare", ".", "-o", "x", "--labels", "nowhere.csv"],
    ["scan", ".", "-o", "/proc/x.parquet"],
    ["prepare", ".", "-o", "/proc/x"],
    ["preview", ".", "-o", "/proc/x.png"],
    ["pretrain", ".", "--run", "/proc/x"],
    ["extract", ".", "-o", "/proc/x", "--backbone", "resnet18"],
    ["evaluate", ".", "--backbone", "resnet18", "-o", "/proc/x.json"],
    ["search", ".", "--query", "a.jpg", "-o", "/proc/x.png"],
    ["explore", ".", "-o", "/proc/x"],
    ["report", ".", "-o", "/proc/x.html"],
    ["import", ".", "-o", "/proc/x"],
    ["demo", "-o", "/proc/x"],
]  # fmt: skip


def test_a_mistake_that_needs_no_torch_is_said_without_it(tmp_path):
    """Importing torch takes seconds."""
    code = f"""
import sys
from vidmoco.cli.main import main
for words in {MISTAKES}:
    assert main(words) == 2
heavy = {{"torch", "numpy", "timm", "av", "pyarrow", "rich"}} & set(sys.modules)
assert not heavy, heavy
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    assert len(result.stderr.splitlines()) == len(MISTAKES)


@pytest.mark.parametrize("name", ["report.report", "visualize.explore"])
def test_what_shows_files_needs_no_torch(name):
    code = f"import sys, vidmoco.{name}; assert not {{'torch', 'timm'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)


def test_the_package_runs_without_jaxtyping():
    code = """
import sys
sys.modules["jaxtyping"] = None
import torch
from vidmoco.methods.losses import info_nce
from vidmoco.augment.views import build_augment
unit = torch.nn.functional.normalize(torch.randn(4, 3), dim=1)
print(info_nce(unit, unit, unit, tau=0.2)[0].item() > 0)
"""
    result = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert result.stdout.strip() == "True"


def test_every_module_has_its_test_file():
    tests = Path(__file__).parent
    exempt = {
        "", "__main__", "shapes", "cache_folder", "errors", "methods.heads",
        "backbones.timm_hook", "video.frames",
        "train.step",
        # Settings: in config/test_recipe.py, cli/test_flags.py and cli/test_help.py.
        "config.base", "config.fields", "config.pretrain", "config.data", "config.augment",
        "config.backbone", "config.optim", "config.runtime", "config.monitor", "config.commands",
        "config.evaluation",
        "config.method_settings",  # in config/test_methods.py
        "features.extraction",  # in features/test_extract_plan.py
        "methods.protocol",  # in methods/test_build.py
    }  # fmt: skip
    missing = [
        name_of(path)
        for path in FILES
        if name_of(path) not in exempt
        and path.name != "__init__.py"
        and not (tests / path.relative_to(PACKAGE).with_name(f"test_{path.stem}.py")).is_file()
    ]
    assert missing == [], "Each needs a test file of its place, such as tests/frames/test_key.py."


def test_only_the_command_line_prints_without_the_console():
    """``console`` and ``progress`` escape what strangers wrote."""
    may = ("cli.main", "cli.flags", "cli.help", "foreign_messages")
    for path in FILES:
        calls = (node.func for node in ast.walk(ast.parse(path.read_text()))
                 if isinstance(node, ast.Call))  # fmt: skip
        prints = any(isinstance(func, ast.Name) and func.id == "print" for func in calls)
        assert not prints or name_of(path) in may, path
