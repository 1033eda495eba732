import pickle

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from parquet_files import as_datasets_writes

from vidmoco.errors import DataError
from vidmoco.images.load import load_labelled_images
from vidmoco.images.table_file import open_table


def as_save_to_disk(path, labels, names):
    """Write what ``datasets.save_to_disk`` does: a stream of batches with its schema."""
    as_datasets_writes(path.with_suffix(".parquet"), labels, names)
    table = pq.read_table(path.with_suffix(".parquet"))
    path.with_suffix(".parquet").unlink()
    with pa.ipc.new_stream(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    (path.parent / "state.json").write_text("{}")


def test_a_folder_of_save_to_disk(tmp_path):
    for n in range(2):
        name = f"train/data-0000{n}-of-00002.arrow"
        as_save_to_disk(tmp_path / name, [0, 1, n], ["cat", "dog"])
    as_save_to_disk(tmp_path / "validation/data-00000-of-00001.arrow", [1, 0], ["dog", "cat"])
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "validation"]}')
    (tmp_path / "train" / "cache-0123456789abcdef.arrow").write_bytes(b"of datasets")
    train, val = load_labelled_images(tmp_path)
    assert (train.classes, val.split) == (("cat", "dog"), "validation")
    assert (train.labels.tolist(), val.labels.tolist()) == ([0, 1, 0, 0, 1, 1], [0, 1])
    assert train.names[5] == "data-00001-of-00002.arrow row 00000002 (2.png)"
    for images in (train, pickle.loads(pickle.dumps(train))):
        assert [int(images[row][0][0, 0, 0]) for row in (5, 0, 1)] == [2, 0, 1]
    assert val.source.sizes().tolist() == [len(val.source.read(row)) for row in range(2)]
    alone, drawn = load_labelled_images(tmp_path / "train", val_share=0.5)
    assert len(alone) + len(drawn) == 6 and drawn.drawn_share == 0.5


def test_a_damaged_file_is_told(tmp_path):
    path = tmp_path / "data-00000-of-00001.arrow"
    as_save_to_disk(path, [0, 1, 0, 1], ["cat", "dog"])
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(DataError, match=r"Cannot read .*\.arrow as Arrow: "):
        load_labelled_images(tmp_path)


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".PARQUET", ".ARROW"])
def test_both_kinds_give_the_same(tmp_path, suffix):
    table = pa.table({"a": [{"b": 1, "c": "x"}, {"b": 2, "c": "y"}], "d.e": [3, 4]})
    path = tmp_path / f"t{suffix}"
    if suffix.lower() == ".parquet":
        pq.write_table(table, path, row_group_size=1)
    else:
        with pa.ipc.new_stream(str(path), table.schema) as writer:
            writer.write_table(table, max_chunksize=1)
    found = open_table(path)
    assert (found.schema.names, found.group_sizes) == (["a", "d.e"], [1, 1])
    assert [row["b"] for row in found.read("a.b").to_pylist()] == [1, 2]
    assert found.read_group(1, "a.b").to_pylist()[0]["b"] == 2
    assert found.read_group(1, "d.e").to_pylist() == [4]
