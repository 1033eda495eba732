#!/usr/bin/env python
"""Compare frozen backbones on labelled images, from a checkout or under torchrun.

    python tools/evaluate_features.py images/ --backbone runs/latest random
    torchrun --nproc-per-node 8 tools/evaluate_features.py images/ --backbone runs/latest random

The flags are those of ``vidmoco evaluate``. Under torchrun each process computes the features of
its share of the images on the GPU of its local rank; the main process scores, prints and writes.
"""

import sys

from vidmoco.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
