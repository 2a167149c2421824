"""The file that keeps a budget: what is tried, in which order, and what is taken."""
