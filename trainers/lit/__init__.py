"""LIT: each section of the student learns the map of the teacher's own section."""
