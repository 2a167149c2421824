"""Compression of an image-to-image generator: LIT, then the game, beside a control."""

from distill.generate.command import main

__all__ = ["main"]
