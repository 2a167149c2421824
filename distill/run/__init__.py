"""One run: its steps in order, its folder, its finishing process, its report."""
