"""Every setting, its default, range and help text, once. Imports no torch."""
