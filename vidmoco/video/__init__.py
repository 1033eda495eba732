"""All that touches video files."""
