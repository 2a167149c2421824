"""Numbers of a run -> console, page, card, charts, TensorBoard."""
