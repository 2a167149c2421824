"""Training of generators: ACGAN, StarGAN, and translators of images."""
