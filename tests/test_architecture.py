"""The rooms of DESIGN: who may import whom, who owns which library, and how big a file may be."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "vidmoco"
FILES = sorted(PACKAGE.rglob("*.py"))

# Each room may import those before it (and its own row).
ROWS = [
    {"errors", "shapes", "cores", "cache_folder", "timm_hook", "urls", "video.limits", "ranged",
     "command_line", "printable", "png_file", "whole_file"},
    {"method_config"},
    {"config", "commands", "evaluation_commands", "monitor_config"},
    {"recipe", "schedule", "distributed", "heads", "momentum", "interrupt", "video.order",
     "video.sampling", "video.info", "device", "color", "resample",
     "view_parameters", "lars", "moco_v3_vit", "resnet_32px",
     "backbone_folder"},
    {"losses", "feature_queue", "normalization", "augment", "contact_sheet", "backbones", "optim",
     "preprocess", "feature_file", "named_backbones", "video", "image_decode", "image_parquet",
     "image_torchvision",
     "image_corpus"},
    {"methods"},
    {"assemble", "checkpoint", "diagnostics", "metrics", "run_state", "training_step", "progress",
     "run_folder", "pairs", "extractor"},
    {"pretrain", "prepare", "extract", "evaluate", "explore", "report", "monitor", "doctor",
     "preview", "published", "detection"},
    {"demo"},
    {"cli"},
    {"__main__"},
]  # fmt: skip
OWNERS = {
    "decord": {"video.decord_reader"},
    "av": {
        "video.container",
        "video.decoded",
        "video.exact",
        "video.forward",
        "video.decode",
        "video.probe",
        "video.sequential",
        "video.builds",
        "video.decord_reader",
        "demo.videos",
    },
    "timm": {
        "backbones",
        "normalization",
        "moco_v3_vit",
        "named_backbones",
        "preprocess",
        "resnet_32px",
    },
    "tyro": {"cli", "config", "commands", "evaluation_commands", "monitor_config"},
    "argparse": {"cli", "published.checkpoint_file"},
}


def name_of(path):
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


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


def row_of(name):
    """The row of a module, by its own name or else by its folder's."""
    for candidate in (name, name.partition(".")[0]):
        for number, row in enumerate(ROWS):
            if candidate in row:
                return number
    raise AssertionError(f"{name} has no row in ROWS: where does it belong?")


@pytest.mark.parametrize("path", [p for p in FILES if p != PACKAGE / "__init__.py"], ids=name_of)
def test_imports_run_one_way(path):
    known = {name_of(file) for file in FILES}
    here = name_of(path)
    for imported in imports_of(path):
        if not imported.startswith("vidmoco."):
            continue
        target = imported.removeprefix("vidmoco.")
        while target and target not in known:
            target = target.rpartition(".")[0]
        if target and here != "timm_hook":  # the hook looks the backbones up when timm is loaded
            assert row_of(target) <= row_of(here), f"{here} imports {target}"
            assert not (here.startswith("methods") and target.startswith("video"))
            assert not (here.startswith("video") and target.startswith("methods"))


@pytest.mark.parametrize("library", OWNERS)
def test_each_library_has_its_owners(library):
    users = {
        name_of(path)
        for path in FILES
        if any(name == library or name.startswith(f"{library}.") for name in imports_of(path))
    }
    assert users - OWNERS[library] - {""} == set()


def test_no_import_cycles():
    graph = {name_of(p): {i.removeprefix("vidmoco.") for i in imports_of(p)} for p in FILES}
    graph.pop("timm_hook")
    graph.pop("__init__", None)
    edges = {
        a: {
            b
            for b in graph
            if b and a != b and any(i == b or i.startswith(b + ".") for i in targets)
        }
        for a, targets in graph.items()
        if a
    }
    while edges:
        leaves = {a for a, targets in edges.items() if not targets & edges.keys()}
        assert leaves, f"a cycle among {sorted(edges)}"
        edges = {a: targets for a, targets in edges.items() if a not in leaves}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_stay_small(path):
    # config.py holds every setting and its help text once; pretrain.py one way.
    limit = {"config": 400, "pretrain": 420}.get(name_of(path), 300)
    assert len(path.read_text().splitlines()) <= limit


def test_no_room_is_named_for_nothing():
    names = {path.stem for path in FILES}
    assert not names & {"utils", "util", "misc", "common", "helpers", "helper", "engine", "core"}


def test_the_help_needs_nothing_heavy():
    code = """
import sys
from vidmoco.cli.main import COMMANDS, main
for words in [["--help"]] + [[name, "--help"] for name in COMMANDS]:
    try:
        main(words)
    except SystemExit as exit:
        assert exit.code in (0, None), exit.code
heavy = {"torch", "numpy", "timm", "av", "decord", "pyarrow", "torchvision", "rich"}
heavy &= set(sys.modules)
assert not heavy, heavy
"""
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
        "__init__", "__main__", "shapes", "cores", "cache_folder", "errors", "heads", "config",
        "commands", "evaluation_commands", "monitor_config", "device", "interrupt", "timm_hook",
        "progress", "run_folder", "ranged", "frames", "run_state", "training_step",
    }  # fmt: skip
    missing = [
        name_of(path)
        for path in FILES
        if path.stem not in exempt
        and not (tests / path.relative_to(PACKAGE).with_name(f"test_{path.stem}.py")).is_file()
    ]
    assert missing == []
