"""Numbers of a run -> console, page, card, charts, TensorBoard.

Everything here turns numbers that were measured elsewhere into text and pictures, and
measures nothing.
"""
