"""Detection transfer: Faster R-CNN fine-tuned from a backbone, as the MoCo papers judge theirs."""
