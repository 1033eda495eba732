"""What a training reads: the order, the moments, the batches, and the loaders that fill them."""
