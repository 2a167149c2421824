"""What a network or a file costs, holds and answers; formulas over arrays.

Numbers are read from the network or the file itself, and depend on nothing but what is
handed over: no file here knows a run.
"""
