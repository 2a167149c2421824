"""The sources that carry a `.tflite` file into firmware, for TFLite Micro."""
