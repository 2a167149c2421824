"""Distillation on tables of numbers: a forest teaches few trees or a small network."""
