#!/usr/bin/env python
"""Extract per-frame features of videos, from a checkout or under torchrun.

    python tools/export_embeddings.py videos/ -o feats/ --backbone runs/latest
    torchrun --nproc-per-node 8 tools/export_embeddings.py videos/ -o feats/ --backbone runs/latest

The flags are those of ``vidmoco extract``. Under torchrun each process takes the next
video that no other has, on the GPU of its local rank.
"""

import sys

from vidmoco.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["extract", *sys.argv[1:]]))
