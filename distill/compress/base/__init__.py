"""What finishers are made of: their base classes, promises and shares of weights."""
