import json
from pathlib import Path

import numpy as np
import pytest
from child_processes import launch
from PIL import Image

from vidmoco.cli.main import main

TOOL = Path(__file__).parents[2] / "tools" / "evaluate_features.py"


@pytest.mark.slow
def test_two_processes_find_what_one_finds(tmp_path, capsys):
    generator = np.random.default_rng(0)
    for split, count in (("train", 5), ("val", 4)):
        for label in ("a", "b"):
            (tmp_path / split / label).mkdir(parents=True)
            for i in range(count):
                pixels = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / split / label / f"{i}.png")
    (tmp_path / "train" / "a" / "1.png").write_bytes(b"broken")
    (tmp_path / "val" / "b" / "3.png").write_bytes(b"broken")  # the other process's share
    words = [str(tmp_path), "--backbone", "random:test_resnet", "--size", "32", "--workers", "0"]
    words += ["--k", "3", "--fresh"]  # else the two would find what the one has kept
    assert main(["evaluate", *words, "-o", str(tmp_path / "1.json")]) == 0
    alone = capsys.readouterr().out.splitlines()
    command = [str(TOOL), *words, "-o", str(tmp_path / "2.json")]
    first, second = launch(command, world_size=2)
    found = [json.loads((tmp_path / f"{n}.json").read_text()) for n in (1, 2)]
    for results in found:
        del results["rows"][0]["seconds"]
    assert found[0] == found[1]
    assert [one["name"] for one in found[1]["refused"]] == ["train/a/1.png", "val/b/3.png"]
    assert first[:-1] == alone[:-1]  # the last line names the file
    assert len(first) > 5
    assert second == []  # one process prints
