"""The check of a GPU, with a CPU in its place and small sizes."""

import json
import time
from dataclasses import replace

import bench_step
import gpu_check
import gpu_page
import numpy as np
import pytest
from PIL import Image

from vidmoco.cli.main import main

TINY = (
    "--steps 2 --batch-size 4 --backbone.name test_resnet --method.queue-size 8 --workers 1 "
    "--engine.threads 1"
)
SMALL = gpu_check.Sizes(
    batches=(4,),
    vit_batches=(4,),
    size=64,
    canvas=(64, 80),
    steps=1,
    rounds=1,
    backbones=("test_resnet",),
    max_videos=2,
    cifar_flags=(*TINY.split(), "--method.bn-splits", "1"),
    clips_flags=(*TINY.split(), "--augment.size", "32"),
)


RECIPES = {
    "moco": "method: {name: moco, bn_splits: 1}\nbackbone: {name: test_resnet}\n",
    "moco_v3": "method: {name: moco_v3, hidden_dim: 64}\nbackbone: {name: test_vit}\n",
}


def small(folder, method):
    """A recipe file of a method with a tiny network."""
    path = folder / f"{method}.yaml"
    path.write_text(RECIPES[method])
    return str(path)


def check_of(folder, **options):
    sizes = replace(SMALL, recipe=small(folder, "moco"), vit_recipe=small(folder, "moco_v3"))
    given = {"frames": None, "videos": None, "images": None, "sizes": sizes}
    given["ends"] = time.monotonic() + 10**6
    return gpu_check.Check(output=folder / "gpu", **(given | options))


@pytest.fixture
def check(video_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(gpu_check, "num_cores", lambda: 1)  # threads that wait cost the most here
    assert main(["prepare", str(video_folder), "-o", "frames", "--short-side", "64"]) == 0
    generator = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in ("one", "two"):
            (tmp_path / "images" / split / name).mkdir(parents=True)
            for number in range(6):
                pixels = generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / f"images/{split}/{name}/{number}.png")
    return check_of(
        tmp_path, frames=tmp_path / "frames", videos=video_folder, images=tmp_path / "images"
    )


@pytest.mark.slow
def test_every_part_writes_what_it_measured(check, monkeypatch):
    graphs = []  # tests/cuda compiles; here it would take a minute
    monkeypatch.setattr(
        bench_step, "compile_encoders", lambda _, cuda_graphs: graphs.append(cuda_graphs)
    )
    parts = [name for name in gpu_check.PARTS if name != "tests"]  # they are in this suite
    written = gpu_check.run_parts(check, parts)
    results = {path.stem: json.loads(path.read_text()) for path in written}
    assert list(results) == parts
    assert [result.get("error") for result in results.values()] == [None] * len(parts)
    (step,) = results["step"]["rows"]
    assert set(step["pairs_per_second"]) == {
        "one encoder", "the method's step", "and the views", "and prepared frames",
    }  # fmt: skip
    assert sum(step["profile_percent"].values()) == pytest.approx(100, abs=1)
    rows = results["compiled"]["rows"]
    assert [row["cuda_graphs"] for row in rows] == graphs == [False, True]
    assert all(min(row["pairs_per_second"].values()) > 0 for row in rows)
    (extraction,) = results["extract"]["rows"]
    assert all(rate > 0 for rate in extraction["frames_per_second"].values())
    for name in ("cifar", "clips"):
        (row,) = results[name]["rows"]
        assert (row["exit_code"], row["step"]) == (0, 2)
    text = gpu_page.page(check.output)
    assert text.count("Not run yet.") == 1 and "| pairs per second, one encoder |" in text
    # A run that has ended is not begun again.
    (again,) = gpu_check.clips(check)
    assert again["step"] == 2


def test_a_part_that_fails_says_why_and_the_next_begins(tmp_path, monkeypatch):
    check = check_of(tmp_path)

    def broken(check):
        raise ValueError("no such kernel")

    monkeypatch.setitem(gpu_check.PARTS, "step", (broken, None))
    monkeypatch.setitem(gpu_check.PARTS, "vit", (lambda check: [{"batch": 1}], None))
    written = gpu_check.run_parts(check, ["step", "vit"])
    first, second = (json.loads(path.read_text()) for path in written)
    assert "no such kernel" in first["error"] and second["rows"] == [{"batch": 1}]
    assert "no such kernel" in gpu_page.page(check.output)


def test_nothing_begins_without_time_or_what_it_needs(tmp_path):
    assert gpu_check.run_parts(check_of(tmp_path, ends=time.monotonic() + 1), ["step"]) == []
    assert gpu_check.run_parts(check_of(tmp_path), ["extract"]) == []


def test_the_page_in_the_docs_is_of_what_has_run():
    assert gpu_page.PAGE.read_text() == gpu_page.page(None)  # nothing yet
