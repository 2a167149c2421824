"""The tf_keras twin of a Keras 3 network, and rewriting of twins."""
