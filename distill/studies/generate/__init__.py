"""Compresses a generator that turns images into other classes."""
