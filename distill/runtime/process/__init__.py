"""One process: its command, signals and memory; its peers, where there are several."""
