"""Compression on tables of numbers: a forest teaches a few trees or a small network."""
