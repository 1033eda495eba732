"""What README and docs show: commands have flags that there are, and code runs."""

import dataclasses
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
import timm
from cluster_files import ROOT, commands, require_parsed
from painted_videos import write_video, write_videos
from tiny_run import SMALL

import vidmoco
from vidmoco.cli.main import main
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.config.recipe import load_recipe, shipped_recipes

# docs/benchmarks.md records measurements, with letters in place of what varies.
PAGES = sorted(path for path in (ROOT / "docs").rglob("*.md") if path.name != "benchmarks.md")
DOCS = ["README.md", *(path.relative_to(ROOT).as_posix() for path in PAGES)]
# Numbers of a laptop's training, and those of a test.
SMALLER = {
    r"steps=\d+": "steps=1",
    r"batch_size=\d+": "batch_size=8",
    r'"resnet18"': '"test_resnet"',
    r'"size": \d+': '"size": 32',
}
EXTRACT, TWO_FRAMES = "extract videos/ more/ clip.mp4 -o feats/", "--num-frames 2 --backbone run1"
TINY = (
    "--recipe tiny_cpu --batch-size 8 --augment.size 32 --data.short-side 32 --workers 0 --steps 1 "
    "--method.queue-size 40 --method.bn-splits 2 --optim.warmup-epochs 0 --engine.threads 1"
)


def python_blocks():
    for name in DOCS:
        blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / name).read_text(), re.M | re.S)
        for n, block in enumerate(blocks):
            if "vidmoco" in block or "run1" in block:
                yield pytest.param(block, id=f"{name}-{n}")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the videos, images and runs that the examples name."""
    folder = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("VIDMOCO_CACHE", str(folder / "cache"))
        write_videos(folder / "videos", 5)
        shutil.copytree(folder / "videos", folder / "more")
        write_video(folder / "clip.mp4", first_index=100, num_frames=20)
        vidmoco.pretrain("videos/", run="run1", steps=1, **SMALL)
        Path("RUN").symlink_to("run1")
        Path("runs").mkdir(exist_ok=True)
        for name in {"latest", "kitchen"} - {path.name for path in Path("runs").iterdir()}:
            Path("runs", name).symlink_to("../run1")
    return folder


@pytest.fixture
def here(place, tmp_path, monkeypatch, make_images):
    if not (place / "images").exists():
        shutil.copytree(make_images(), place / "images")
    shutil.rmtree(place / "feats", ignore_errors=True)  # each example begins one
    shutil.copy(place / "run1" / "config.yaml", place / "recipe.yaml")
    monkeypatch.setenv("VIDMOCO_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(place)
    # What a block registers with timm is gone afterwards.
    monkeypatch.setattr(sys.modules["__main__"], "__all__", [], raising=False)
    names = timm.models._registry._model_entrypoints
    before = set(names)
    yield place
    for name in set(names) - before:
        timm.models._registry._clear_model_entries(name)
        del names[name]


@pytest.mark.parametrize("name", DOCS)
def test_commands_have_flags_that_there_are(name, here):
    for words in commands((ROOT / name).read_text()):
        if not any("|" in word or "…" in word for word in words):
            require_parsed(words)


@pytest.mark.parametrize("block", list(python_blocks()))
def test_python_runs(block, here):
    if "vidmoco_kitchen" in block:
        assert main(["export", "run1", "--name", "kitchen"]) == 0
    if '"feats"' in block:
        assert main([*EXTRACT.split(), *TWO_FRAMES.split()]) == 0
    for shown, smaller in SMALLER.items():
        block = re.sub(shown, smaller, block)
    exec(compile(block, "documentation", "exec"), {"__name__": "__main__"})


def test_flags_of_sections_are_there():
    known = set(re.findall(r"--[\w.-]+", (ROOT / "tests" / "cli" / "flags.txt").read_text()))
    sections = "|".join(field.name for field in dataclasses.fields(PretrainConfig))
    files = [*(ROOT / "docs").rglob("*.md"), *(ROOT / "configs").iterdir(), ROOT / "README.md"]
    files += (ROOT / "vidmoco").rglob("*.py")
    for path in files:
        named = set(re.findall(rf"--(?:{sections})\.[a-z][\w-]*", path.read_text()))
        assert named <= known, (path, named - known)


@pytest.mark.parametrize("name", ["docs/features.md", "docs/guides/embed.md"])
def test_flags_in_tables_are_complete(name, here):
    flags = re.findall(r"^\| `(--[^`]+)`", (ROOT / name).read_text(), re.M)
    assert len(flags) > 4
    for words in flags:
        require_parsed(["extract", "videos/", "-o", "feats/", *words.split()])


def test_tables_of_recipes_are_complete(here):
    listed = {}
    for method, names in re.findall(
        r"^\| `(\w+)` \|.*\| ([^|]*) \|$", (ROOT / "docs/methods.md").read_text(), re.M
    ):
        listed |= dict.fromkeys(re.findall(r"`(\w+)`", names), method)
    recipes = {name: load_recipe(name).method.name for name in shipped_recipes()}
    assert listed == recipes, "The table of docs/methods.md has other recipes than configs/."
    table = (ROOT / "README.md").read_text().partition("## Recipes")[2].partition("\n\nA recipe")[0]
    cells = re.findall(r"^\| ([^|]*) \|", table, re.M)
    in_readme = set(re.findall(r"`(\w+)`", " ".join(cells)))
    assert in_readme == listed.keys(), "The table of README.md has other recipes than configs/."


@pytest.mark.parametrize(
    ("name", "begin", "more"),
    [
        ("docs/features.md", "extract clip.mp4 -o feats.npy", ""),
        ("docs/features.md", EXTRACT, TWO_FRAMES),
        ("docs/backbones.md", "export run1 --to hf-folder -o folder/", ""),
        ("docs/backbones.md", "pretrain videos/ --backbone.name run1", f"--run run2 {TINY}"),
        ("docs/backbones.md", "pretrain --run run1 --resume --steps 120", "--steps 2"),
    ],
)
def test_commands_run(name, begin, more, here):
    assert f"    vidmoco {begin}" in (ROOT / name).read_text()
    assert main([*begin.split(), *shlex.split(more)]) == 0
