"""Teacher-student compression on Keras and TensorFlow, from one config."""

__version__ = "0.1.0"
