"""What README and docs show: commands have flags that there are, and code runs."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from cluster_files import ROOT, commands, require_parsed
from painted_videos import write_video, write_videos
from tiny_run import SMALL

import vidmoco
from vidmoco.cli.main import main

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
        if not Path("runs/latest").exists():
            Path("runs/latest").symlink_to("../run1")
    return folder


@pytest.fixture
def here(place, tmp_path, monkeypatch, make_images):
    if not (place / "images").exists():
        shutil.copytree(make_images(), place / "images")
    shutil.copy(place / "run1" / "config.yaml", place / "recipe.yaml")
    monkeypatch.setenv("VIDMOCO_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(place)
    return place


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
    exec(compile(block, "documentation", "exec"), {})


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
