"""The command line. No other room parses argv."""
