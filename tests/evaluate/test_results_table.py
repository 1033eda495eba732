import re

from evaluate_runs import a_row as row
from evaluate_runs import printed
from evaluate_runs import some_results as results

from vidmoco.evaluate.results_table import accuracy_columns, results_tables


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
        [column.header for column in results_tables(results(one), width=120)[0].columns]
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
        "images: 100 train (at most 4 per class), 50 test; 3 classes, chance 33.3 %",
        "pooled features of the frozen backbone, fp32",
        "weights exp(s / 0.07)",
        "decay chosen on a tenth of train: 0.01",
        "seed: 5",
        "a note",
        "12 images could not be read and are left out:",
        "  [9].png: cut off",
        "  and 2 more, in the results file",
        "2 files have suffixes of no image format",
        "Written to r.json",
    ):
        assert expected in text
    assert "[10].png" not in text
    one = row("A", knn=(1.0, 2.0), linear=3.0) | {"linear_held_out_top1": {}}
    assert "decay not chosen, as train is too small: 0.01" in printed(results(one))


def test_what_is_done_to_the_images_is_said_once_or_by_name():
    a, b = (row(name, knn=(1.0, 2.0), linear=3.0) for name in "AB")
    line = "short side to 73, centre crop of 64, bilinear; mean 0.485 0.456 0.406, std 0.229 0.224"
    assert f"images of all backbones: {line}" in printed(results(a, b))
    b["preprocess"] = b["preprocess"] | {"crop_mode": "squash", "crop_pct": 1.0}
    text = printed(results(a, b))
    assert f"images of A: {line}" in text
    assert "images of B: both sides to 64, centre crop of 64" in text


def test_videos_and_fine_tuning_have_columns():
    given = results(row("A", knn=(1.0, 2.0), linear=3.0))
    given["rows"][0] |= {
        "video_top1": {"knn": {"mean": 61.0, "max": 1.0, "vote": 2.0}},
        "finetune": {
            "head": {
                "recipe": "moco_v1",
                "lr": 30.0,
                "batch_size": 256,
                "epochs": [{}] * 5,
                "top1": 44.0,
            }
        },
    }
    given["settings"]["finetune"] = ["head"]
    assert accuracy_columns(given)[-2:] == [("video, k-NN", [61.0]), ("head, top-1", [44.0])]
    text = printed(given)
    assert "head: only the head, on the frozen backbone, trained by SGD on random crops" in text
    assert "(moco_v1: learning rate 30, 5 epochs, batches of 256)" in text
    assert "video: mean of its frames' probabilities (k-NN 20)" in text


def test_columns_that_do_not_fit_go_to_another_table():
    given = results(row("a backbone's name", knn=(1.0, 2.0), linear=3.0, top5=4.0))
    headers = [
        [column.header for column in table.columns] for table in results_tables(given, width=66)
    ]
    assert headers == [
        ["backbone", "architecture", "dim", "input", "k-NN 1"],
        ["backbone", "k-NN 20", "linear top-1", "linear top-5"],
    ]
    # However narrow, a table has a column.
    assert len(results_tables(given, width=10)) == 4
