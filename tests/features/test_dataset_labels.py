import pyarrow.parquet as pq
import pytest
from dataset_folders import begin, entry_of, features_of, rows_of, values_of, write, writer_of

from vidmoco.errors import ConfigError
from vidmoco.features import dataset as dataset_module
from vidmoco.features import dataset_writer
from vidmoco.features.dataset_labels import have_changed, relabel
from vidmoco.features.dataset_settings import read_settings

LENGTHS = {"a": 5, "b": 3, "long": 60}
EXPECTED = sorted((name, n, float(n)) for name, rows in LENGTHS.items() for n in range(rows))


@pytest.fixture
def small(monkeypatch):
    """Parts of about 30 rows, and videos that are long from 20 on."""
    monkeypatch.setattr(dataset_module, "PART_BYTES", 3000)
    monkeypatch.setattr(dataset_writer, "_LONG", 1000)


def labels_in(folder):
    """The labels of each video, of all rows that a reader of the folder finds."""
    found = {}
    for path in sorted(folder.glob("part-*.parquet")):
        table = pq.read_table(path)
        for row in table.drop_columns(["feature"]).to_pylist():
            labels = {name: row[name] for name in table.column_names[5:]}
            assert found.setdefault(row["video"], labels) == labels
    return found


def give(dataset, labels):
    return relabel(dataset, labels, worker="0000000a")


def tidy(dataset):
    dataset.tidy(worker="0000000a", living=(), is_alive=lambda name: False)


def written(place):
    dataset = begin(place)
    write(dataset, *((name, values_of(rows)) for name, rows in LENGTHS.items()))
    return dataset


def test_columns_change_and_rows_stay(tmp_path, small):
    written(tmp_path / "f")
    for names, kinds in ((["kind"], ["x", None, "z"]), (["kind", "by"], ["y", "", None])):
        dataset = begin(tmp_path / "f", labels=names)
        labels = {video: dict.fromkeys(names, kind) for video, kind in zip(LENGTHS, kinds)}  # noqa: B905
        assert have_changed(dataset, labels)
        assert give(dataset, labels) == len(dataset.parts) > 2
        assert labels_in(tmp_path / "f") == labels and rows_of(dataset) == EXPECTED
        assert read_settings(dataset.folder)["labels"] == names
        assert not have_changed(begin(tmp_path / "f", labels=names), labels)
        tidy(dataset)
        assert labels_in(tmp_path / "f") == labels and rows_of(dataset) == EXPECTED


class Killed(BaseException):
    pass


def test_a_kill_at_any_moment_loses_and_doubles_no_row(tmp_path, small, monkeypatch):
    labels = {video: {"kind": video.upper()} for video in LENGTHS}
    moments, is_done = 0, False
    while not is_done:
        place = tmp_path / str(moments)
        written(place)
        dataset = begin(place, labels=["kind"])
        left = moments
        with monkeypatch.context() as patch:

            def dying(method):
                def act(*args):
                    nonlocal left
                    if left == 0:
                        raise Killed
                    left -= 1
                    return method(*args)

                return act

            for name in ("write", "put", "delete"):
                patch.setattr(dataset.folder, name, dying(getattr(dataset.folder, name)))
            try:
                give(dataset, labels)
                is_done = True
            except Killed:
                pass
        counted = begin(place, labels=["kind"])
        assert {name: sum(p.entry.rows for p in places) for name, places in counted.places.items()
                } == LENGTHS  # fmt: skip
        give(counted, labels)
        tidy(counted)
        assert labels_in(place) == labels and rows_of(counted) == EXPECTED
        moments += 1
    assert moments > 7


def test_a_process_with_other_columns_that_was_taken_for_dead_stops(tmp_path):
    old = written(tmp_path / "f")
    write(old, ("other", values_of(2)), worker="0000000b")
    dataset = begin(tmp_path / "f", labels=["kind"])
    labels = {"a": {"kind": "x"}}
    assert give(dataset, labels) == 2
    writer = writer_of(old, worker="0000000b")
    writer.add(features_of(values_of(2)), entry_of("late"))
    with pytest.raises(ConfigError, match="or given it other --labels"):
        writer.flush()
    assert not have_changed(dataset, labels)
    nothing = {"kind": None}
    assert labels_in(tmp_path / "f") == {
        "a": {"kind": "x"}, "b": nothing, "long": nothing, "other": nothing
    }  # fmt: skip


def test_labels_of_before_that_no_footer_tells_stay(tmp_path):
    """As 0.1.0 has written them."""
    dataset = begin(tmp_path / "f", labels=["kind"])
    write(dataset, ("a", values_of(2)), ("b", values_of(3)), labels={"kind": "x"})
    dataset = begin(tmp_path / "f", labels=["kind", "by"])
    for part in dataset.parts.values():
        for entry in part.entries:
            entry.labels.clear()
    give(dataset, {"b": {"kind": "y", "by": "me"}})
    assert labels_in(tmp_path / "f") == {
        "a": {"kind": "x", "by": None}, "b": {"kind": "y", "by": "me"}
    }  # fmt: skip
    tidy(dataset)
    assert labels_in(tmp_path / "f")["a"] == {"kind": "x", "by": None}
