"""What a finished dataset of features holds, for tests whose writers are killed."""

import pyarrow.parquet as pq


def rows_of(output):
    """All rows that any reader of the folder finds, sorted."""
    tables = [pq.read_table(path) for path in output.glob("part-*.parquet")]
    rows = [row for table in tables for row in table.to_pylist()]
    return sorted(rows, key=lambda row: (row["video"], row["frame"]))


def dataset_in(output):
    """The rows and the manifest of a folder in which nothing else is left."""
    inside = {path.name for path in (output / "__vidmoco__").iterdir()}
    assert inside == {"dataset.json", "manifest.parquet"}, sorted(
        (output / "__vidmoco__").rglob("*")
    )
    manifest = pq.read_table(output / "__vidmoco__" / "manifest.parquet").to_pylist()
    return rows_of(output), [(row["video"], row["state"], row["rows"]) for row in manifest]
