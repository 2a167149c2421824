"""Finished runs, told apart by config and data: which of them are seeds of one."""

import json
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from distill.runtime.errors import ConfigError

_NAMED = 4  # Options that are named where configs differ.

Group = Mapping[str, dict]  # Folder to report, of runs that differ in the seed alone.


def reports(folders: Sequence[pathlib.Path]) -> dict[str, dict]:
    """Folder of each finished run to its report.

    Args:
        folders: Of runs, or such as hold runs: those of one comparison.

    Raises:
        ConfigError: If there is none, or one comes twice.
    """
    found: dict[str, dict] = {}
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
            if str(path.parent) in found:
                raise ConfigError(
                    "runs must be of different seeds or folders. "
                    f"Received twice: {path.parent}"
                )
            found[str(path.parent)] = _read(path)
    return found


def _read(path):
    report = json.loads(path.read_text())
    if not {"run", "data", "models"} <= set(report):
        raise ConfigError(
            f"{path.parent} must be a run of distill.train or distill.finish. "
            "Received: the report of another command"
        )
    return report


def grouped(runs: Mapping[str, dict]) -> list[Group]:
    """Runs that differ in the seed alone, together; in the order of the first of each.

    The same seed again, as of another machine, begins a group of its own.

    Args:
        runs: Folder to report.
    """
    groups: dict[Any, dict[str, dict]] = {}
    for folder, report in runs.items():
        key, again = config_of(report), 0
        while report["run"]["seed"] in _seeds(groups.get((key, again), {})):
            again += 1
        groups.setdefault((key, again), {})[folder] = report
    return list(groups.values())


def _seeds(group):
    return [report["run"]["seed"] for report in group.values()]


def config_of(report: dict) -> str:
    """Config and data of a report, without the seed and what names files of a seed."""
    apart = {"seed", "model", "teacher"} if "student" not in report["run"] else {"seed"}
    options = {key: part for key, part in report["run"].items() if key not in apart}
    return json.dumps([options, data_of(report)], sort_keys=True)


def data_of(report: dict) -> str:
    """What tells the data of a report from others."""
    return report["data"]["fingerprint"]


def named_data(report: dict) -> str:
    """The data of a report, for people: `digits 127ccc2d`."""
    return f"{report['data'].get('name', 'data')} {data_of(report)[:8]}"


def label(group: Group) -> str:
    """A group's name: that of its folders, without what tells seeds apart."""
    names = dict.fromkeys(re.sub(r",seed=\d+$", "", folder) for folder in group)
    first, *others = names
    return f"{first} +{len(others)}" if others else first


def differences(groups: Sequence[Group]) -> list[str]:
    """In what groups differ, one line for data and one for configs, for people."""
    firsts = {label(group): next(iter(group.values())) for group in groups}
    lines = []
    on: dict[str, list[str]] = {}
    for name, report in firsts.items():
        on.setdefault(named_data(report), []).append(name)
    if len(on) > 1:
        said = "; ".join(f"{data}: {_list(names)}" for data, names in on.items())
        lines.append(f"different data, whose accuracies do not compare: {said}")
    flat = [dict(_leaves(report["run"])) for report in firsts.values()]
    keys = [
        key
        for key in dict.fromkeys(key for options in flat for key in options)
        if key != "seed" and len({repr(options.get(key)) for options in flat}) > 1
    ]
    if keys:
        more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
        said = (
            f"{key} ({_list(dict.fromkeys(str(each.get(key)) for each in flat))})"
            for key in keys[:_NAMED]
        )
        lines.append(f"different configs: {_list(said)}{more}")
    return lines


def _leaves(tree, where=""):
    """Path and value of every leaf of plain data."""
    if isinstance(tree, dict):
        pairs = tree.items()
    elif isinstance(tree, list) and tree:
        pairs = enumerate(tree)
    else:
        yield where.lstrip("."), tree
        return
    for key, value in pairs:
        yield from _leaves(value, f"{where}.{key}")


def _list(words):
    return ", ".join(words)
