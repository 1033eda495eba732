"""The command line: the only code that parses argv."""
