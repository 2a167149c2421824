"""Weights and channels that go."""
