"""What the features of videos look like: nearest frames, pictures, shots and near-duplicates."""
