"""Parquet files of images, as others write them."""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def png(value):
    buffer = io.BytesIO()
    Image.new("L", (8, 6), value).save(buffer, "PNG")
    return buffer.getvalue()


def as_datasets_writes(path, labels, names, *, image="image", label="label"):
    """Write a Parquet file as Hugging Face's ``datasets`` does, with a ClassLabel."""
    table = pa.table({
        image: [{"bytes": png(i), "path": f"{i}.png"} for i in range(len(labels))], label: labels,
    })  # fmt: skip
    features = {
        image: {"_type": "Image"},
        label: {"names": names, "_type": "ClassLabel"},
        "boxes": {"feature": {"dtype": "float32", "_type": "Value"}, "_type": "List"},
    }
    noted = json.dumps({"info": {"features": features}})
    path.parent.mkdir(exist_ok=True, parents=True)
    pq.write_table(table.replace_schema_metadata({"huggingface": noted}), path)
