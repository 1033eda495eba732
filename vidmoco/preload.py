"""What takes long to import, and much memory: once, in the process that others are forked from."""

import gc

import vidmoco.data.pair_worker
import vidmoco.features.batch_reader
import vidmoco.frames.writer
import vidmoco.video.forward_reader  # noqa: F401

# A collection writes into every object that it looks at, and a page written to is shared no more.
gc.collect()
gc.freeze()
