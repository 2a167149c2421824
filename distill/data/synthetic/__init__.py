"""Synthetic examples: their sources, and mixing them into batches."""
