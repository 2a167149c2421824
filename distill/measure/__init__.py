"""Measures networks and files: cost, contents, outputs, latency; scores over arrays.

Everything is measured on the network or the file itself. No file here takes a run.
"""
