"""Teachers that only answer: to the examples in order, once, without a network."""
