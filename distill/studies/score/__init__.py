"""How good made examples are to distil on."""
