"""Generators and discriminators. Imports Keras alone; knows no other package."""
