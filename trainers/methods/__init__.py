"""One method a file: a frozen dataclass of options whose `terms` are its losses."""
