"""Measures the speed of steps and runs, beside their parts and other libraries."""
