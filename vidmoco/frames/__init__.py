"""Prepared folders: JPEG frames in tar shards with a Parquet index."""
