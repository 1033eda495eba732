import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from parquet_files import as_datasets_writes, png

from vidmoco.images.class_notes import notes_of
from vidmoco.images.load import load_labelled_images
from vidmoco.images.parquet_schema import path_column


@pytest.mark.parametrize("image", ["image", "img", "picture"])
def test_names_decide_where_datasets_wrote_the_classes_in_another_order(tmp_path, image):
    as_datasets_writes(tmp_path / "train.parquet", [0, 1, 2], ["cat", "dog", "eel"], image=image)
    names = ["eel", "cat", "dog"]
    as_datasets_writes(tmp_path / "validation.parquet", [0, 1, 2], names, image=image)
    train, val = load_labelled_images(tmp_path)
    assert train.classes == val.classes == ("cat", "dog", "eel")
    assert (train.labels.tolist(), val.labels.tolist()) == ([0, 1, 2], [2, 0, 1])
    assert (val.split, notes_of(train, val, [1] * len(val.classes))) == ("validation", [])
    assert (val[2][0] == 2).all()


@pytest.mark.parametrize(
    "noted", ["{", "[" * 100_000, "[]", '{"info": {"features": {"label": 3}}}']
)
def test_metadata_of_others_that_says_nothing(tmp_path, noted):
    for split in ("train", "val"):
        table = pa.table({"image": [png(0), png(1)], "label": [0, 1]})
        table = table.replace_schema_metadata({"huggingface": noted})
        pq.write_table(table, tmp_path / f"{split}.parquet")
    assert load_labelled_images(tmp_path)[0].classes == ("0", "1")


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ({"image": pa.string(), "path": pa.string()}, "image"),
        ({"label": pa.string(), "file_name": pa.large_string()}, "file_name"),
        ({"image": pa.binary(), "path": pa.string()}, None),
        ({"picture": pa.struct({"bytes": pa.binary()}), "path": pa.string()}, None),
        ({"image": pa.float32(), "path": pa.string()}, None),
        ({"label": pa.string()}, None),
    ],
)
def test_the_column_of_paths(columns, found):
    assert path_column(pa.schema(columns)) == found
