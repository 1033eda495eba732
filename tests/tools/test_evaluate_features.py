import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from test_distributed import launch

TOOL = Path(__file__).parents[2] / "tools" / "evaluate_features.py"


def test_two_processes_find_what_one_finds(tmp_path):
    generator = np.random.default_rng(0)
    for split, count in (("train", 5), ("val", 4)):
        for label in ("a", "b"):
            (tmp_path / split / label).mkdir(parents=True)
            for i in range(count):
                pixels = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / split / label / f"{i}.png")
    (tmp_path / "train" / "a" / "1.png").write_bytes(b"broken")
    (tmp_path / "val" / "b" / "3.png").write_bytes(b"broken")  # the other process's share
    found, printed = [], []
    for world_size in (1, 2):
        output = tmp_path / f"{world_size}.json"
        flags = ["--backbone", "random:test_resnet", "--size", "32", "--workers", "0", "--k", "3"]
        command = [sys.executable, str(TOOL), str(tmp_path), *flags, "-o", str(output)]
        printed.append(launch(command, world_size=world_size))
        found.append(json.loads(output.read_text()))
    for results in found:
        del results["rows"][0]["seconds"]
    assert found[0] == found[1]
    assert [one["name"] for one in found[1]["refused"]] == ["train/a/1.png", "val/b/3.png"]
    (alone,), (first, second) = printed
    assert len(first) == len(alone) > 5
    assert second == []  # one process prints
