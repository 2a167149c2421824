"""The ground: errors, whole files, one process and its peers, resume, trust.

Nothing here knows what a config is. Files appear whole or not at all; a mistake is one
line with an exit code of its own; training goes on from its last whole moment.
"""
