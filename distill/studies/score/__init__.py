"""Scores how useful synthetic examples are for distillation, beside real ones."""
