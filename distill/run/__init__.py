"""One run: its steps in order, its folder, its finishing process, its report.

A step reads what the step before wrote into the run folder, and a finished step is
never run again. `preflight` refuses what cannot train, before anything does.
"""
