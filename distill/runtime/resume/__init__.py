"""Training that may be killed at any step: committed moments, and a `fit` from them."""
