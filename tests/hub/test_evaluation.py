import pytest
from report_material import results, row, write_json

from vidmoco.errors import ConfigError
from vidmoco.hub.evaluation import evaluation_metadata, evaluation_section, read_results_of


@pytest.fixture
def read(tmp_path):
    ours = row("/home/me/runs/run1", knn=60.0, linear=70.0) | {"weights_hash": "abc"}
    other = row("<b>other<br>") | {"weights_hash": "def"}
    notes = ["1 image is in train too, such as /data/x/clip_1.png."]
    path = write_json(tmp_path / "results.json", results(other, ours, notes=notes))
    return lambda **more: read_results_of(path, weights_hash="abc", name="kitchen", **more)


def test_the_table_has_all_backbones_with_intervals(read):
    said = evaluation_section(read())
    assert said.startswith("Accuracy in percent on **pets**: 1,000 train and 20 val images of 2 ")
    lines = said.splitlines()
    assert "|  | k-NN, τ = 0.07, k = 20 | linear probe, top-1 |" in lines
    assert "| kitchen | **61.0** (56.0–66.0) | **70.0** (67.0–73.0) |" in lines
    assert "| \\<b\\>other\\<br\\> | 41.0 (36.0–46.0) | 50.0 (47.0–53.0) |" in lines
    assert "- 1 image is in train too, such as clip\\_1.png." in lines
    assert "/home" not in said and "/data" not in said


def test_metadata_are_of_this_backbone_only(read):
    knn, linear = evaluation_metadata(read())
    assert (knn.metric_value, knn.metric_args) == (61.0, {"interval_95": [56.0, 66.0]})
    assert (linear.metric_name, linear.metric_value) == ("linear probe, top-1", 70.0)
    assert {(one.dataset_name, one.dataset_type, one.metric_type) for one in (knn, linear)} == {
        ("pets", "pets", "accuracy")
    }


def test_results_of_other_weights_are_refused(tmp_path):
    path = write_json(tmp_path / "r.json", results(row("a") | {"weights_hash": "def"}))
    with pytest.raises(ConfigError, match="no results of this backbone: none of its 1 has the we"):
        read_results_of(path, weights_hash="abc", name="kitchen")
    damaged = row("a") | {"weights_hash": "abc"}
    del damaged["linear_interval"]
    with pytest.raises(ConfigError, match=r"r.json is damaged: KeyError\('linear_interval'\)"):
        read_results_of(write_json(path, results(damaged)), weights_hash="abc", name="kitchen")
    with pytest.raises(ConfigError, match="no results file at"):
        read_results_of(tmp_path / "no.json", weights_hash="abc", name="kitchen")


def test_names_lose_their_folders_and_notes_follow(tmp_path):
    rows = [
        row("/home/me/runs/run1") | {"weights_hash": "abc"},
        row("random:/home/me/big/net") | {"weights_hash": "def"},
        row("hf-hub:timm/resnet18.a1_in1k") | {"weights_hash": "ghi"},
        row("/home/me/runs/run1/kit") | {"weights_hash": "jkl"},
    ]
    notes = [f"{one['name']} has seen an image." for one in rows]
    path = write_json(tmp_path / "results.json", results(*rows, notes=notes))
    found = read_results_of(path, weights_hash="abc", name="kitchen")
    names = ["kitchen", "random:net", "hf-hub:timm/resnet18.a1_in1k", "kit"]
    assert [one["name"] for one in found["rows"]] == names
    assert found["notes"] == [f"{name} has seen an image." for name in names]
