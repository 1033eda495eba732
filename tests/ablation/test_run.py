import json

import pytest
from ablations import write_ablation
from painted_videos import write_video
from PIL import Image

from vidmoco.ablation.run import run_ablation
from vidmoco.errors import ConfigError


@pytest.fixture
def material(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where runs/latest is made
    for n in range(3):
        write_video(tmp_path / "videos" / f"{n}.mp4", num_frames=6, first_index=100 * n)
    for split in ("train", "val"):
        for n, kind in enumerate(("attic", "hall")):
            path = tmp_path / "images" / split / kind / f"{n}.png"
            path.parent.mkdir(parents=True)
            Image.new("RGB", (32, 32), (200 * n, 9, len(split))).save(path)
    return tmp_path


def test_a_table_of_trained_and_untrained_rows_which_goes_on(material, quiet):
    paths = {"videos": material / "videos", "images": material / "images"}
    file = write_ablation(material, **paths, seeds=[3])
    done = run_ablation(file, material / "out", console=quiet)
    assert done.failures == []
    untrained, pairs, control = done.summary["rows"]
    for row in (untrained, pairs, control):
        (column,) = row["columns"]
        assert len(column["values"]) == 1 and 0 <= column["mean"] <= 100
    assert pairs["steps"] == control["steps"] == 2
    written = {path.name for path in (material / "out").iterdir() if path.is_file()}
    assert written == {"table.md", "table.json", "set.svg"}
    assert json.loads((material / "out" / "table.json").read_text()) == done.summary
    runs = material / "out" / "runs"
    assert {path.name for path in runs.iterdir()} == {"pairs-seed3", "control-seed3"}
    metrics = (runs / "pairs-seed3" / "metrics.jsonl").read_bytes()
    assert (runs / "control-seed3" / "metrics.jsonl").read_bytes() != metrics

    # Again: nothing is trained twice, a deleted result is measured again, a new seed is trained.
    (material / "out" / "results" / "set" / "pairs-seed3.json").unlink()
    assert run_ablation(file, material / "out", console=quiet).summary == done.summary
    assert (runs / "pairs-seed3" / "metrics.jsonl").read_bytes() == metrics


def test_minutes_become_steps_by_the_speed_alone(material, quiet):
    paths = {"videos": material / "videos", "images": material / "images"}
    rows = {"pairs": {}}
    file = write_ablation(
        material, **paths, seeds=[0], steps=None, minutes=0.002, rows=rows, compare=[]
    )
    done = run_ablation(file, material / "out", console=quiet)
    lines = (material / "out" / "speeds" / "pairs" / "metrics.jsonl").read_text().splitlines()
    speeds = sorted(json.loads(line)["pairs_per_second"] for line in lines[2:])
    expected = max(1, round(0.12 * speeds[0] / 8)), max(1, round(0.12 * speeds[-1] / 8))
    assert expected[0] <= done.summary["rows"][0]["steps"] <= expected[1]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"backbone": {"name": "resnet1O"}}, "Unknown backbone 'resnet1O'"),
        ({"backbone": {"weights": "nowhere/it"}}, "nowhere/it"),
        ({"frozen": "resnet1O"}, "Unknown backbone 'resnet1O'"),
        ({"monitor": {"images": "nowhere/images"}}, "nowhere/images"),
        ({"engine": {"device": "gpu"}}, "Unknown device 'gpu'"),
    ],
)
def test_what_a_row_names_is_looked_at_before_anything_trains(material, quiet, row, said):
    rows = {"pairs": {}, "other": row}
    file = write_ablation(material, rows=rows, compare=[], videos=material / "videos")
    with pytest.raises(ConfigError, match=said):
        run_ablation(file, material / "out", console=quiet)
    assert not (material / "out").exists()


def test_mistakes_are_told_before_anything_trains(material, quiet):
    paths = {"videos": material / "videos", "images": material / "nowhere"}
    with pytest.raises(ConfigError, match="nowhere"):
        run_ablation(write_ablation(material, **paths), material / "out", console=quiet)
    assert not (material / "out" / "runs").exists()
