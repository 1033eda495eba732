"""Import what takes long and much memory once, in the process that workers are forked from."""

import gc

import vidmoco.data.pair_worker
import vidmoco.features.batch_reader
import vidmoco.frames.writer
import vidmoco.video.forward_reader  # noqa: F401

# A garbage collection writes into every object it visits; a page that is written is shared no more.
gc.collect()
gc.freeze()
