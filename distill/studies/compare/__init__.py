"""Configs over seeds, beside their controls at equal updates."""
