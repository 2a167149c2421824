"""Data sets, each a dataclass of options that loads examples in three splits."""
