"""Resumable training: checkpoints, and a `fit` that continues from the last one."""
