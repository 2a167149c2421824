"""The ground: errors, whole files, one process and its peers, resume, trust."""
