"""Searches for the best file within a budget by short trials of finishers."""
