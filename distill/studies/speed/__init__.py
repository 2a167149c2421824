"""How fast a step, a run and its parts are, beside others."""
