"""Quantization-aware training: by TF-MOT, and by our own layers for other networks."""
