"""Completes a command line in the shell by argcomplete, if that is installed.

A shell asks by starting the command with `_ARGCOMPLETE` in the environment; at any
other start, none of this costs anything.
"""

import argparse
import os
from collections.abc import Mapping

_ASKED = "_ARGCOMPLETE"  # Number of the word, from 1, at which the command begins.


def answer(flags: argparse.ArgumentParser) -> None:
    """Where a shell asks, tells it the flags and ends the process."""
    if _ASKED in os.environ:
        import argcomplete

        argcomplete.autocomplete(flags)


def command(commands: Mapping[str, str]) -> str | None:
    """The command whose flags a shell asks for, if it does.

    Where it asks for the command itself, tells it those that there are and ends.

    Args:
        commands: Name of each to what it is for.
    """
    if _ASKED not in os.environ:
        return None
    begins = int(os.environ[_ASKED])
    before = os.environ["COMP_LINE"][: int(os.environ["COMP_POINT"])]
    word = before.split(" ")[begins:]
    if word[1:] and word[0] in commands:
        os.environ[_ASKED] = str(begins + 1)
        return word[0]
    flags = argparse.ArgumentParser(prog="distill")
    flags.add_argument("--version", action="store_true")
    flags.add_argument("command", choices=list(commands))
    answer(flags)
    return None
