import json

import pytest
from ablations import JUDGE
from PIL import Image

from vidmoco.ablation import judging
from vidmoco.ablation.judging import judged
from vidmoco.ablation.plan import Judge


@pytest.fixture
def images(tmp_path):
    for split in ("train", "val"):
        for n, kind in enumerate(("attic", "hall")):
            path = tmp_path / "images" / split / kind / "x.png"
            path.parent.mkdir(parents=True)
            Image.new("RGB", (32, 32), (200 * n, 9, len(split))).save(path)
    return tmp_path / "images"


def test_results_are_kept_until_judge_or_weights_change(images, trained, quiet, monkeypatch):
    _, folder = trained
    run, out = folder.parent, images.parent / "out"
    counted = []
    evaluate = judging.evaluate
    monkeypatch.setattr(judging, "evaluate", lambda *a, **k: counted.append(1) or evaluate(*a, **k))
    judge = Judge(name="set", settings={"images": str(images)} | JUDGE)
    first = judged(judge, "a", str(run), out, console=quiet)
    assert list(first) == ["k-NN 1"] and len(counted) == 1
    kept = json.loads((out / "results" / "set" / "a.json").read_text())
    assert kept["rows"][0]["knn_top1"]["0.07"]["1"] == first["k-NN 1"]
    assert judged(judge, "a", str(run), out, console=quiet) == first and len(counted) == 1
    other = Judge(name="set", settings=judge.settings | {"crop_mode": "squash"})
    judged(other, "a", str(run), out, console=quiet)
    assert len(counted) == 2
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\0")
    judged(other, "a", str(run), out, console=quiet)
    assert len(counted) == 3
    judged(other, "b", "random:resnet10t", out, console=quiet)
    judged(other, "b", "random:resnet10t", out, console=quiet)
    assert len(counted) == 4
    (images / "train" / "hall" / "x.png").rename(images / "train" / "hall" / "y.png")
    judged(other, "b", "random:resnet10t", out, console=quiet)
    assert len(counted) == 5
