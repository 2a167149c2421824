"""Many runs, or other things than a run, side by side. No study knows another.

In each, `conductor` orders the steps, `report` turns numbers into text, and `study` is
the config, where it has one of its own.
"""
