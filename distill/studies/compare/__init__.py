"""Compares configs over seeds with each other and with controls of equal updates."""
