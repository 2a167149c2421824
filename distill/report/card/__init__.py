"""The model card, and the program that calls a file."""
