"""Counts kernels, ops and multiply-accumulates, in a network and in a file."""
