"""Pretraining: the loop, its parts, and what is measured while it goes on."""
