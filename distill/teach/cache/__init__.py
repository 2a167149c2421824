"""Caches that runs share: the teacher's answers and networks, under fingerprints."""
