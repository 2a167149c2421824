"""Both networks of a run: from files or built, cut where they pair, checked."""
