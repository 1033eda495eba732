"""Batched random views. Parameters are drawn on the host, pixels are computed on the device."""
