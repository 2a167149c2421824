"""Presents the numbers of a run: console, web page, model card, charts, TensorBoard.

Everything here formats or draws numbers that other packages have measured.
"""
