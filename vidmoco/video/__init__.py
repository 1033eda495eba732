"""Reading of video files: scan, catalog and decoders."""
