#!/usr/bin/env python
r"""Run a detection transfer from a checkout or under torchrun.

    torchrun --nproc-per-node 8 tools/finetune_detection.py --backbone runs/latest --run runs/voc \
        --train VOCdevkit/VOC2007:trainval VOCdevkit/VOC2012:trainval --val VOCdevkit/VOC2007:test

The flags are those of ``vidmoco evaluate-detection``; docs/evaluation.md has the papers' settings.
"""

import sys

from vidmoco.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["evaluate-detection", *sys.argv[1:]]))
