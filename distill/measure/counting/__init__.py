"""What is multiplied how often, in a network and in a file."""
