"""Pretraining: the training loop, its parts, and its measurements."""
