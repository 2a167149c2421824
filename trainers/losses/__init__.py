"""Losses, one number an example: on responses, and on relations between examples."""
