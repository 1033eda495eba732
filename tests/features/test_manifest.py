import pyarrow.parquet as pq
from dataset_folders import begin, values_of, write

from vidmoco.features.dataset_settings import MANIFEST
from vidmoco.features.manifest import SCHEMA, Given, write_manifest


def table_of(dataset):
    with dataset.folder.open(MANIFEST) as file:
        table = pq.read_table(file)
    assert table.schema == SCHEMA
    return {row["video"]: row for row in table.to_pylist()}


def states(dataset):
    return {name: (row["state"], row["rows"]) for name, row in table_of(dataset).items()}


def test_all_videos_with_their_states(tmp_path):
    dataset = begin(tmp_path / "f")
    (tmp_path / "there.mp4").touch()
    write(dataset, ("a", values_of(5)), ("gone", values_of(2)))
    write(dataset, ("elsewhere", values_of(3)), source=str(tmp_path / "there.mp4"))
    without = [
        Given("bad", "failed", "its decoder crashed", "/x/bad", 2.0),
        Given("text", "refused", "it is a text file", "/x/text"),
        Given("later", "pending", "", "/x/later"),
    ]
    vanished = write_manifest(dataset, ["a", "bad", "text", "later"], without)
    assert vanished == ["gone"]
    assert states(dataset) == {
        "a": ("extracted", 5), "bad": ("failed", 0), "elsewhere": ("extracted", 3),
        "gone": ("vanished", 2), "later": ("pending", 0), "text": ("refused", 0),
    }  # fmt: skip
    row = table_of(dataset)["bad"]
    assert (row["reason"], row["seconds"]) == ("its decoder crashed", 2.0)
    row = table_of(dataset)["a"]
    assert (row["seconds"], row["weights_hash"]) == (3.0, "0123456789abcdef")
    assert row["settings_hash"] == dataset.settings_hash and row["video_id"] == "id of a"


def test_a_later_run_keeps_what_it_was_not_given(tmp_path):
    dataset = begin(tmp_path / "f")
    (tmp_path / "bad.mp4").touch()
    given = [
        Given("bad", "failed", "broken", str(tmp_path / "bad.mp4")),
        Given("late", "pending", "", "/x"),
        Given("url", "failed", "it cannot be fetched", "s3://bucket/url"),
        *(Given(state, state, "broken", "/gone") for state in ("failed", "refused", "pending")),
    ]
    write_manifest(dataset, [one.video for one in given], given)
    assert len(states(dataset)) == 6
    write(dataset, ("late", values_of(1)))
    assert write_manifest(dataset, ["late"], []) == []
    assert states(dataset) == {
        "bad": ("failed", 0), "late": ("extracted", 1), "url": ("failed", 0)
    }  # fmt: skip


def test_rows_of_before_a_failure_are_told_apart(tmp_path):
    dataset = begin(tmp_path / "f")
    write(dataset, ("a", values_of(5)))
    write_manifest(dataset, ["a"], [Given("a", "failed", "it is broken now", "/x/a")])
    row = table_of(dataset)["a"]
    assert (row["state"], row["reason"], row["rows"]) == ("failed", "it is broken now", 5)


def test_a_damaged_manifest_is_made_anew(tmp_path):
    dataset = begin(tmp_path / "f")
    write(dataset, ("a", values_of(5)))
    dataset.folder.write(MANIFEST, b"no table")
    write_manifest(dataset, ["a"], [])
    assert states(dataset) == {"a": ("extracted", 5)}
