"""Training: networks, teacher, assistants, generator, stages, kept answers."""
