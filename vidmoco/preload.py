"""What takes long to import, and much memory: once, in the process that others are forked from."""

import gc

# A collection writes into every object that it looks at, and a page written to is shared no more.
gc.collect()
gc.freeze()
