"""Image files and labelled image sets: folders, Parquet, torchvision's datasets."""
