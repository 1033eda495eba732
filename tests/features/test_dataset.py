import numpy as np
import pyarrow.parquet as pq
import pytest
from dataset_folders import begin, entry_of, features_of, rows_of, values_of, write, writer_of

from vidmoco.errors import ConfigError
from vidmoco.features import dataset as dataset_module
from vidmoco.features import dataset_writer
from vidmoco.features.dataset import Dataset
from vidmoco.features.dataset_settings import delete_dataset
from vidmoco.features.output_folder import INTERNAL


@pytest.fixture
def small(monkeypatch):
    """Parts of about 30 rows, and videos that are long from 20 on."""
    monkeypatch.setattr(dataset_module, "PART_BYTES", 3000)
    monkeypatch.setattr(dataset_writer, "_LONG", 1000)


def tidy(dataset, worker="0000000a", living=()):
    dataset.tidy(worker=worker, living=living, is_alive=lambda name: name == worker)


def expected(**lengths):
    return sorted((name, n, float(n)) for name, rows in lengths.items() for n in range(rows))


def test_what_is_written_is_there_and_known(tmp_path):
    dataset = begin(tmp_path / "f")
    write(dataset, ("a", values_of(5)), ("b", values_of(3)))
    again = Dataset(dataset.folder, dataset.settings)
    assert {video: places[0].start for video, places in again.places.items()} == {"a": 0, "b": 5}
    assert (again.identity_of("a"), again.identity_of("c")) == ("1", None)
    assert rows_of(again) == expected(a=5, b=3)


def test_of_two_the_newer_one_counts_and_the_other_goes(tmp_path):
    dataset = begin(tmp_path / "f")
    write(dataset, ("a", values_of(5)), ("b", values_of(3)), made=1.0)
    write(dataset, ("a", values_of(2)), made=2.0, identity="2")
    assert dataset.identity_of("a") == "2"
    tidy(dataset)
    assert rows_of(dataset) == expected(a=2, b=3)
    assert len(dataset.parts) == 1


def test_rows_that_two_processes_have_written_are_there_once(tmp_path):
    dataset = begin(tmp_path / "f")
    for worker in ("0000000a", "0000000b"):
        write(dataset, ("a", values_of(5)), worker=worker)
    tidy(dataset)
    assert rows_of(dataset) == expected(a=5)


def test_pieces_of_a_long_video_count_when_the_last_is_there(tmp_path, small):
    dataset = begin(tmp_path / "f")
    write(dataset, ("long", values_of(200)), ("short", values_of(3)))
    assert sum(places[0].entry.piece for places in dataset.places.values()) == 0
    assert len(dataset.places["long"]) > 2
    assert rows_of(dataset) == expected(long=200, short=3)
    last = dataset.places["long"][-1].part
    dataset.folder.delete(last)
    dataset.refresh()
    assert set(dataset.places) == {"short"}
    tidy(dataset, worker="0000000b", living=("0000000a",))
    assert len(rows_of(dataset)) > 3  # its process may be about to write the last one
    tidy(dataset, worker="0000000b")
    assert rows_of(dataset) == expected(short=3)


def test_parts_of_before_a_merge_are_not_read_twice(tmp_path):
    """A process that dies between the merge and the deletion leaves both."""
    dataset = begin(tmp_path / "f")
    write(dataset, ("a", values_of(5)))
    write(dataset, ("b", values_of(3)))
    before = list(dataset.parts)
    kept = {name: (tmp_path / "f" / name).read_bytes() for name in before}
    dataset.merge(before, worker="0000000a")
    for name, data in kept.items():
        dataset.folder.write(name, data)
    again = Dataset(dataset.folder, dataset.settings)
    assert len(again.parts) == 3
    merged = {place.part for places in again.places.values() for place in places}
    assert not merged & set(before)
    tidy(again)
    assert rows_of(again) == expected(a=5, b=3) and len(again.parts) == 1


def test_small_parts_are_merged_up_to_the_size(tmp_path, small):
    dataset = begin(tmp_path / "f")
    for number in range(12):
        write(dataset, (str(number), values_of(3)))
    sizes = {part.num_bytes for part in dataset.parts.values()}
    dataset_module.PART_BYTES = 4 * max(sizes)
    tidy(dataset)
    assert len(dataset.parts) <= 4
    assert rows_of(dataset) == expected(**{str(number): 3 for number in range(12)})


def test_parts_of_living_processes_are_left_alone(tmp_path):
    dataset = begin(tmp_path / "f")
    for worker in ("0000000a", "0000000b"):
        write(dataset, (worker, values_of(3)), worker=worker)
    before = set(dataset.parts)
    tidy(dataset, worker="0000000c", living=("0000000a", "0000000b"))
    assert set(dataset.parts) == before


def test_temporary_files_of_the_dead_are_removed(tmp_path):
    dataset = begin(tmp_path / "f")
    for worker in ("0000000a", "0000000b"):
        dataset.folder.temporary(f"part-000001-00000000.parquet.{worker}").touch()
    for name in ("manifest.parquet.123.part", "dataset.json.01234567.part"):
        dataset.folder.write(f"{INTERNAL}/{name}", b"")
    assert len(dataset.folder.sizes(INTERNAL)) == 5
    tidy(dataset, worker="0000000a")
    left = [name for name in dataset.folder.sizes(INTERNAL) if name != "dataset.json"]
    assert left == ["part-000001-00000000.parquet.0000000a.part"]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (
            {"weights_hash": "f" * 16},
            "backbone .* with weights [0-9a-z]+, now backbone .* with weights f{16}",
        ),
        (
            {"every": 2, "dtype": "float16"},
            "--every 1, now --every 2; --dtype float32, now --dtype float16",
        ),
    ],
)
def test_other_settings_are_refused(tmp_path, changed, named):
    begin(tmp_path / "f")
    begin(tmp_path / "f")
    with pytest.raises(
        ConfigError, match=rf"was made with other settings: {named}\. .*--overwrite"
    ):
        begin(tmp_path / "f", **changed)


@pytest.mark.parametrize("name", ["a.mp4.npy", "README.md", "other.parquet", "deeper/b.npy"])
def test_a_folder_with_other_files_is_refused(tmp_path, name):
    (tmp_path / "f" / name).parent.mkdir(parents=True)
    (tmp_path / "f" / name).touch()
    with pytest.raises(ConfigError, match=rf"holds other files, such as '{name.split('/')[0]}'"):
        begin(tmp_path / "f")


def test_only_own_files_are_deleted(tmp_path):
    dataset = begin(tmp_path / "f")
    write(dataset, ("a", values_of(5)))
    (tmp_path / "f" / "part-of-mine.parquet").touch()
    delete_dataset(dataset.folder)
    assert dataset.folder.names() in ([INTERNAL, "part-of-mine.parquet"],
                                      ["part-of-mine.parquet", INTERNAL])  # fmt: skip
    assert dataset.folder.sizes(INTERNAL) == {}


def test_the_hash_of_settings_is_that_of_what_decides_rows(tmp_path):
    one = begin(tmp_path / "a")
    assert one.settings_hash == begin(tmp_path / "b", backbone="elsewhere").settings_hash
    assert one.settings_hash != begin(tmp_path / "c", every=2).settings_hash


def test_a_merge_that_fails_leaves_all_as_it_was(tmp_path, monkeypatch):
    dataset = begin(tmp_path / "f")
    write(dataset, ("a", values_of(5)))
    write(dataset, ("b", values_of(3)))

    def fails(*_):
        raise ConfigError("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(type(dataset.folder), "put", fails)
        with pytest.raises(ConfigError):
            tidy(dataset)
    assert rows_of(dataset) == expected(a=5, b=3)
    assert set(dataset.folder.sizes(INTERNAL)) == {"dataset.json"}


def test_a_process_stops_where_another_begins_the_dataset_anew(tmp_path):
    """With other settings: its rows would be among theirs."""
    dataset = begin(tmp_path / "f")
    writer = writer_of(dataset)
    writer.add(features_of(values_of(3)), entry_of("a"))
    delete_dataset(dataset.folder)
    begin(tmp_path / "f", weights_hash="f" * 16)
    for act in (writer.flush, lambda: tidy(dataset)):
        with pytest.raises(ConfigError, match=r"Another process has begun \S+/f anew"):
            act()
    assert dataset.folder.names() == [INTERNAL]
    assert set(dataset.folder.sizes(INTERNAL)) == {"dataset.json"}


def test_a_process_goes_on_where_another_begins_the_same_dataset_anew(tmp_path):
    dataset = begin(tmp_path / "f")
    write(dataset, ("a", values_of(5)))
    writer = writer_of(dataset)
    writer.add(features_of(values_of(3)), entry_of("b"))
    delete_dataset(dataset.folder)
    again = begin(tmp_path / "f")
    writer.flush()
    again.refresh()
    assert rows_of(again) == expected(b=3)


def test_what_is_put_while_the_dataset_is_deleted_goes_too(tmp_path, monkeypatch):
    dataset = begin(tmp_path / "f")
    write(dataset, ("a", values_of(5)))
    delete = type(dataset.folder).delete

    def deleted_meanwhile(folder, *names):
        monkeypatch.undo()
        folder.write("part-000002-00000000.parquet", b"put by another process")
        delete(folder, *names)

    monkeypatch.setattr(type(dataset.folder), "delete", deleted_meanwhile)
    delete_dataset(dataset.folder)
    assert dataset.folder.sizes() == {} and dataset.folder.sizes(INTERNAL) == {}


@pytest.mark.parametrize("known", [True, False])
def test_parts_that_another_process_merges_meanwhile(tmp_path, known):
    """It took this process for dead, which was stopped."""
    dataset, small = begin(tmp_path / "f"), list[str]()
    for name in ("a", "b"):
        write(dataset, (name, values_of(3)))
    small += dataset.parts
    tidy(Dataset(dataset.folder, dataset.settings), worker="0000000b")
    if known:
        dataset.refresh()
    dataset.merge_small(small, worker="0000000a", rest=True)
    assert rows_of(dataset) == expected(a=3, b=3)
    assert len(dataset.parts) == 1 and len(dataset.folder.sizes()) == 1


def test_parts_that_are_merged_while_they_are_looked_at(tmp_path, monkeypatch):
    dataset = begin(tmp_path / "f")
    for name in ("a", "b"):
        write(dataset, (name, values_of(3)))
    sizes = type(dataset.folder).sizes

    def merged_meanwhile(folder, *inside):
        found = sizes(folder, *inside)
        monkeypatch.undo()
        tidy(dataset)
        return found

    monkeypatch.setattr(type(dataset.folder), "sizes", merged_meanwhile)
    assert set(Dataset(dataset.folder, dataset.settings).places) == {"a", "b"}


def test_float16_and_groups(tmp_path):
    dataset = begin(tmp_path / "f", dtype="float16")
    writer = writer_of(dataset)
    writer.add(features_of(np.full((3, 4), 0.1, np.float32)), entry_of("a"))
    writer.flush()
    (name,) = dataset.parts
    table = pq.read_table(tmp_path / "f" / name)
    assert str(table.schema.field("feature").type) == "fixed_size_list<element: halffloat>[4]"
