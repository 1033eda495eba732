"""A pool of worker processes that a bad file may kill."""
