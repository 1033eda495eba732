import json

import pytest
from report_material import results, row, write_json

from vidmoco.errors import ConfigError
from vidmoco.evaluate.results_table import FORMAT
from vidmoco.report.results_file import Column, knn_columns, other_columns, read_results


def column(*values):
    return Column("g", "t", list(values), [None] * len(values))


def test_the_best_goes_by_what_is_shown():
    assert column(41.62, 41.58, 41.5).is_best == [True, True, False]
    assert column(9.5, 10.4, None).is_best == [False, True, False]  # numbers, not texts
    assert column(41.0).is_best == [False]
    assert column(41.0, None).is_best == [False, False]
    assert column(None, 0.0, 0.0).is_best == [False, True, True]


def test_columns_of_the_knn():
    rows = [row("a", knn=40), row("b", knn=30)]
    found = knn_columns(rows, "0.1")
    assert [(c.group, c.title, c.values) for c in found] == [
        ("k-NN, τ = 0.1", "k = 1", [42, 32]),
        ("k-NN, τ = 0.1", "k = 20", [43, 33]),
    ]
    assert found[0].notes == ["35.0–45.0", "25.0–35.0"]


def test_columns_of_all_else():
    more = {
        "linear_top5": 90.0,
        "few_shot_top1": {"0.01": [10.0, 14.0], "0.1": [30.0]},
        "few_shot_per_class": {"0.01": 1.0, "0.1": 10.333},
        "finetune": {"head": {"epochs": [{"epoch": 1.0, "top1": 20.0}, {"top1": 25.0}]}},
        "video_top1": {"knn": {"mean": 61.0, "vote": 62.0}},
    }  # fmt: skip
    found = other_columns(results(row("a") | more, row("b", linear=None)))
    assert [(c.group, c.title, c.values) for c in found] == [
        ("linear probe", "top-1", [50.0, None]),
        ("linear probe", "top-5", [90.0, None]),
        ("few shots", "1 % (1 per class)", [12.0, None]),
        ("few shots", "10 % (10.3 per class)", [30.0, None]),
        ("fine-tuned", "head, top-1", [25.0, None]),
        ("whole videos, k-NN", "mean", [61.0, None]),
        ("whole videos, k-NN", "vote", [62.0, None]),
    ]
    assert [c.notes[0] for c in found[:4]] == ["47.0–53.0", "", "± 2.8", ""]


def test_balanced_accuracies_are_columns_where_classes_are_unequal():
    tuned = {"head": {"epochs": [{}], "top1": 95.0, "balanced": 50.0}}
    balanced = {"0.07": {"1": 30.0, "20": 50.0}, "0.1": {"1": 20.0, "20": 20.0}}
    uneven = row("a", linear=None) | {"knn_balanced": balanced, "finetune": tuned}
    even = row("b", linear=None)
    even |= {"knn_balanced": even["knn_top1"]}
    assert [
        (c.group, c.title, c.values)
        for c in other_columns(results(uneven, even, num_val_by_class=[2, 18]))
    ] == [
        ("k-NN, τ = 0.07", "k = 20, balanced", [50.0, 41.0]),
        ("fine-tuned", "head, top-1", [95.0, None]),
        ("fine-tuned", "head, balanced", [50.0, None]),
    ]
    assert other_columns(results(even, num_val_by_class=[2, 18])) == []
    assert [c.title for c in other_columns(results(uneven, num_val_by_class=[10, 10]))] == [
        "head, top-1"
    ]


def test_formats(tmp_path):
    path = tmp_path / "r.json"
    for number in (2, FORMAT + 1, "3", None):
        write_json(path, results(row("a"), format=number, vidmoco="9.9"))
        expected = f"format {number!r}, written by vidmoco 9.9; this vidmoco reads format {FORMAT}"
        with pytest.raises(ConfigError, match=expected):
            read_results(path)


@pytest.mark.parametrize("text", ["{", "\x00", "[" * 100_000, '{"a": NaN}'])
def test_what_is_no_json(tmp_path, text):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(ConfigError, match="cannot be read as JSON"):
        read_results(tmp_path / "r.json")


def test_an_empty_file(tmp_path):
    (tmp_path / "r.json").write_text("\n")
    with pytest.raises(ConfigError, match=r"r.json is empty; expected a results file"):
        read_results(tmp_path / "r.json")


@pytest.mark.parametrize("data", [[], 3, {}, {"format": FORMAT}])
def test_other_json(tmp_path, data):
    with pytest.raises(ConfigError, match="is JSON, but not a results file"):
        read_results(write_json(tmp_path / "r.json", data))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"rows": []}, "it has no rows"),
        ({"rows": [{"dim": 3}]}, r"rows\[0\] has no name"),
        ({"rows": [3]}, "rows is not a mapping"),
        ({"rows": [row("a") | {"name": 3}]}, r"rows\[0\].name has 3, expected str"),
        ({"rows": [row("a") | {"knn_top1": {"0.1": {"1": "x"}}}]}, r"knn_top1.0.1.1 has 'x'"),
        ({"rows": [row("a") | {"linear_top1": True}]}, "linear_top1 has True"),
        ({"rows": [row("a") | {"few_shot_top1": {"0.1": 3.0}}]}, "few_shot_top1.0.1 is not a list"),
        ({"classes": "ab"}, "classes is not a list"),
        ({"settings": {"k": []}}, "it has no settings.k"),
        ({"refused": [{"name": 3}]}, "refused.name has 3"),
    ],
)
def test_damaged_results(tmp_path, change, problem):
    path = write_json(tmp_path / "r.json", results(row("a"), **change) | {
        key: value for key, value in change.items() if key == "rows"
    })  # fmt: skip
    with pytest.raises(ConfigError, match=f"r.json is damaged: .*{problem}"):
        read_results(path)


def test_a_missing_file_and_missing_parts(tmp_path):
    with pytest.raises(ConfigError, match="There is no results file"):
        read_results(tmp_path / "r.json")
    data = results(row("a"))
    del data["images"]
    with pytest.raises(ConfigError, match="it has no images"):
        read_results(write_json(tmp_path / "r.json", data))
    data = json.loads(json.dumps(results({"name": "only a name"})))
    assert read_results(write_json(tmp_path / "r.json", data))["rows"] == data["rows"]
