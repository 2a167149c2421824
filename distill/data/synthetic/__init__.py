"""Examples that are made: where from, and how they are mixed into batches."""
