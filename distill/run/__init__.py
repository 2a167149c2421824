"""One run: its steps in order, its folder, its finishing process, its report.

Each step reads the files that earlier steps wrote into the run folder, and a finished
step is not repeated. `preflight` refuses a run that cannot work before it trains.
"""
