"""Eight bits in training: TF-MOT's way, and our own layers for what it refuses."""
