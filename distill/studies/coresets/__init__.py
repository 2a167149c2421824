"""Weights kept by the coresets of Baykal et al., by magnitude, and at random."""
