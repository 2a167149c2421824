"""Measures the models of a finished run, and judges its files."""
