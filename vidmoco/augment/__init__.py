"""Batched random views: parameters are drawn on the host, pixels are computed on the device."""
