"""The lowest layer: errors, atomic files, processes, resuming, unsafe files.

Nothing here knows what a config is. Files are written atomically, an error is one line
with its own exit code, and training continues from its last checkpoint.
"""
