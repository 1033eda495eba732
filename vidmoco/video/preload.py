"""What takes long to import, and much memory: once, in the process that others are forked from."""

import gc

import vidmoco.video.batch_reader
import vidmoco.video.forward
import vidmoco.video.pair_worker  # noqa: F401

# A collection writes into every object that it looks at, and a page written to is shared no more.
gc.collect()
gc.freeze()
