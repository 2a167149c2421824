"""Groups finished runs by config and data, so that a group differs in seeds alone."""

import json
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from distill.runtime import files
from distill.runtime.errors import ConfigError

_NAMED = 4  # Differing options that are named; the rest is only counted.

Group = Mapping[str, dict]  # Folder to report, for runs that differ in the seed alone.


def read_reports(folders: Sequence[pathlib.Path]) -> dict[str, dict]:
    """Reads the reports of finished runs.

    Args:
        folders: Folders of runs, or folders that hold several, as `compare` makes.

    Returns:
        Folder of each run to its report.

    Raises:
        ConfigError: If a folder has no report, or a run occurs twice.
    """
    reports: dict[str, dict] = {}
    for folder in folders:
        paths = [folder / "report.json"]
        if not paths[0].is_file():
            paths = sorted(folder.glob("*/report.json"))
        if not paths:
            raise ConfigError(
                f"{folder} must be the folder of a finished run: no "
                f"{folder / 'report.json'}"
            )
        for path in paths:
            if str(path.parent) in reports:
                raise ConfigError(
                    "runs must be of different seeds or folders. "
                    f"Received twice: {path.parent}"
                )
            reports[str(path.parent)] = _read(path)
    return reports


def _read(path):
    report = files.read_json(path)
    if not {"run", "data", "models"} <= set(report):
        raise ConfigError(
            f"{path.parent} must be a run of distill.train or distill.finish. "
            "Received: the report of another command"
        )
    return report


def group_runs(runs: Mapping[str, dict]) -> list[Group]:
    """Groups runs that differ in the seed alone, in the order of their first runs.

    A seed that a group already has, for example from another machine, goes into a
    second group of the same config.

    Args:
        runs: Folder to report.
    """
    groups: dict[Any, dict[str, dict]] = {}
    for folder, report in runs.items():
        key, copy = config_of(report), 0
        while report["run"]["seed"] in _seeds(groups.get((key, copy), {})):
            copy += 1
        groups.setdefault((key, copy), {})[folder] = report
    return list(groups.values())


def _seeds(group):
    return [report["run"]["seed"] for report in group.values()]


def config_of(report: dict) -> str:
    """Config and data of a report as one string, without what differs by seed."""
    # `distill.finish` has no student: its `model` and `teacher` are files of one seed.
    by_seed = {"seed"}
    if "student" not in report["run"]:
        by_seed |= {"model", "teacher"}
    options = {key: part for key, part in report["run"].items() if key not in by_seed}
    return json.dumps([options, data_of(report)], sort_keys=True)


def data_of(report: dict) -> str:
    """The fingerprint of a report's data."""
    return report["data"]["fingerprint"]


def describe_data(report: dict) -> str:
    """Name and short fingerprint of a report's data: `digits 127ccc2d`."""
    return f"{report['data'].get('name', 'data')} {data_of(report)[:8]}"


def label(group: Group) -> str:
    """A group's name: that of its folders, without their seeds."""
    names = dict.fromkeys(re.sub(r",seed=\d+$", "", folder) for folder in group)
    first, *others = names
    return f"{first} +{len(others)}" if others else first


def differences(groups: Sequence[Group]) -> list[str]:
    """Describes how groups differ: one line for data and one for configs, or none."""
    firsts = {label(group): next(iter(group.values())) for group in groups}
    lines = []
    by_data: dict[str, list[str]] = {}
    for name, report in firsts.items():
        by_data.setdefault(describe_data(report), []).append(name)
    if len(by_data) > 1:
        listed = "; ".join(f"{data}: {_join(names)}" for data, names in by_data.items())
        lines.append(f"different data, whose accuracies cannot be compared: {listed}")
    flat = [dict(_leaves(report["run"])) for report in firsts.values()]
    keys = [
        key
        for key in dict.fromkeys(key for options in flat for key in options)
        if key != "seed" and len({repr(options.get(key)) for options in flat}) > 1
    ]
    if keys:
        more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
        values = (
            f"{key} ({_join(dict.fromkeys(str(each.get(key)) for each in flat))})"
            for key in keys[:_NAMED]
        )
        lines.append(f"different configs: {_join(values)}{more}")
    return lines


def _leaves(tree, where=""):
    """Yields path and value of every leaf of nested dicts and lists."""
    if isinstance(tree, dict):
        pairs = tree.items()
    elif isinstance(tree, list) and tree:
        pairs = enumerate(tree)
    else:
        yield where.lstrip("."), tree
        return
    for key, value in pairs:
        yield from _leaves(value, f"{where}.{key}")


def _join(words):
    return ", ".join(words)
