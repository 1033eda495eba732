"""Folders of prepared frames: JPEG in tar shards with a Parquet index."""
