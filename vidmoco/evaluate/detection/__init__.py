"""Detection transfer: fine-tune Faster R-CNN from a backbone, as the MoCo papers do."""
