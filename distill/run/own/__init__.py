"""The Python of a config: what its functions return is kept as files."""
