"""Features of videos: a frozen backbone, extraction, feature files and sets of them."""
