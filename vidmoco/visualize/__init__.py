"""Pictures and tables of videos and their features: preview, search, explore."""
