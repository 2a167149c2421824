"""The teacher and student of a run: opened or built, cut into sections, checked."""
