"""Foreign files, searched and opened in a sandbox; what a file says of itself."""
