"""Studies: many runs, or trainings that are no run, compared with each other.

No study imports another. In each, `conductor` calls the steps in order, `report`
formats the numbers, and `study` is the config, if the study has one of its own.
"""
