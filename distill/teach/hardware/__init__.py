"""Implements the option `hardware`: strategy, feeding, precision, fused norms."""
