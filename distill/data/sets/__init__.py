"""The data sets; each is a dataclass of options that loads examples in three splits."""
