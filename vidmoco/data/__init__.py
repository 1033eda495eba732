"""The training data: the order of videos, moments, batches, and the loaders that fill them."""
