import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from vidmoco.errors import ConfigError
from vidmoco.evaluate.results import print_results, require_writable, results_table, write_results


def row(name, *, knn, linear, top5=None):
    values = {
        "name": name,
        "architecture": "resnet18",
        "dim": 512,
        "input_size": 64,
        "knn_top1": {"0.07": {"1": knn[0], "20": knn[1]}, "0.1": {"1": 9.0, "20": 9.0}},
        "knn_interval": {"0.07": {"1": [0.0, 1.0], "20": [0.0, 1.0]}},
        "linear_interval": [linear - 1, linear + 1],
        "linear_top1": linear,
        "linear_decay": 0.01,
    }
    return values if top5 is None else values | {"linear_top5": top5}


def results(*rows, num_classes=3, refused=()):
    return {
        "images": "some/[folder]",
        "classes": [f"class{i}" for i in range(num_classes)],
        "num_train": 100,
        "num_val": 50,
        "val_split": "test",
        "refused": list(refused),
        "num_other_files": 2,
        "settings": {
            "layer": "pooled features",
            "k": [1, 20],
            "knn_tau": [0.07, 0.1],
            "few_shot": [],
            "linear_decays": [0.1, 0.01],
            "size": None,
            "max_train_per_class": 4,
            "precision": "fp32",
            "seed": 5,
        },
        "rows": list(rows),
        "notes": ["a note"],
    }


def printed(given, *, styled=False):
    file = io.StringIO()
    console = Console(
        file=file, width=120, force_terminal=styled, color_system="standard" if styled else None
    )
    print_results(given, path=Path("r.json"), console=console)
    return file.getvalue()


def test_the_best_of_each_column_is_bold():
    text = printed(
        results(
            row("A", knn=(30.0, 41.62), linear=50.0), row("[b]B", knn=(20.0, 41.58), linear=60.0)
        ),
        styled=True,
    )
    lines = {line.split("│")[1].strip(): line for line in text.splitlines() if line.count("│") > 4}
    assert set(lines) == {"A", "[b]B"}  # names are text, not markup
    bold = {name: re.findall(r"\x1b\[1m *([0-9.]+)", line) for name, line in lines.items()}
    assert bold == {"A": ["30.0", "41.6"], "[b]B": ["41.6", "60.0"]}  # 41.6: alike as shown


def test_the_only_backbone_is_not_the_best():
    text = printed(results(row("A", knn=(30.0, 1.0), linear=2.0)), styled=True)
    assert not re.search(r"\x1b\[1m *30.0", text)
    assert "30.0" in text


def test_columns_follow_the_results():
    titles = [
        [column.header for column in results_table(results(one)).columns]
        for one in (
            row("A", knn=(1.0, 2.0), linear=3.0),
            row("A", knn=(1.0, 2.0), linear=3.0, top5=4.0),
        )
    ]
    common = ["backbone", "architecture", "dim", "input", "k-NN 1", "k-NN 20", "linear top-1"]
    assert titles == [common, [*common, "linear top-5"]]


def test_settings_notes_and_refusals_are_printed():
    refused = [{"split": "val", "name": f"[{i}].png", "reason": "cut off"} for i in range(12)]
    text = printed(results(row("A", knn=(1.0, 2.0), linear=3.0), refused=refused))
    for expected in (
        "Accuracy on some/[folder] (%)",
        "images: 100 train (at most 4 a class), 50 test; 3 classes, chance 33.3 %",
        "pooled features of the frozen backbone, fp32",
        "weights exp(s / 0.07)",
        "decay chosen on a tenth of train: 0.01",
        "seed: 5",
        "a note",
        "12 images could not be read and are left out:",
        "  [9].png: cut off",
        "  and 2 more, in the results file",
        "2 files are no images by their suffix",
        "Written to r.json",
    ):
        assert expected in text
    assert "[10].png" not in text


def test_the_file_is_whole_or_the_old_one(tmp_path):
    path = tmp_path / "r.json"
    write_results(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_results(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": 1}


def test_outputs_that_cannot_be_written(tmp_path):
    with pytest.raises(ConfigError, match=r"a folder; give a file, such as .*results.json"):
        require_writable(tmp_path)
    with pytest.raises(ConfigError, match=r"a name that ends in .json"):
        require_writable(tmp_path / "results.csv")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match=r"Cannot write to .*file.*--output"):
        require_writable(tmp_path / "file" / "results.json")
    require_writable(tmp_path / "new" / "results.json")
    assert list((tmp_path / "new").iterdir()) == []
