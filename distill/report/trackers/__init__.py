"""Services that collect numbers and files of runs, where a config names one."""

from distill.report.trackers.session import TRACKERS, Session, open_session

__all__ = ["TRACKERS", "Session", "open_session"]
