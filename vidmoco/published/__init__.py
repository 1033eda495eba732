"""Weights from and for other tools: their files, the names of their keys, their architectures."""
