"""What a network or a file costs, holds and answers; formulas over arrays."""
