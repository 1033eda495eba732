"""A pool of processes that may die of what they read."""
