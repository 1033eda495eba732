"""Detection transfer: Faster R-CNN from a backbone, as the MoCo papers judge theirs."""
