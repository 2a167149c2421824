"""Answers and networks that are kept beside the runs, each under a fingerprint."""
