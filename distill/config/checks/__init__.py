"""Checks of how the parts of a config fit each other."""
