"""Compression on tables of numbers: a forest teaches a few trees or a small network."""

from distill.tabular.command import main

__all__ = ["main"]
