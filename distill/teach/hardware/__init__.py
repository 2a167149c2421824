"""The option `hardware` put to work: strategy, feeding, precision, fused norms."""
