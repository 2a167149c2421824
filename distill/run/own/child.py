"""The process that calls one function of the user's, and writes what it returns."""

import inspect
import json
import pathlib
from collections.abc import Callable
from typing import Any

from absl.flags import argparse_flags

from distill.data import given as examples
from distill.runtime import files
from distill.runtime.errors import ConfigError
from distill.runtime.process import command, worker
from distill.runtime.trust import own_python


def main(argv=None) -> int:
    """`python -m distill.run.own.child TASK --allow-python`; see `parts`."""
    flags = argparse_flags.ArgumentParser(prog="python -m distill.run.own.child")
    flags.add_argument("task", type=json.loads, help="role, source, keywords, record")
    own_python.add_flag(flags)
    return command.run_command(_run_task, flags, argv)


def _run_task(arguments):
    worker.end_with_parent()
    task = arguments.task
    record = pathlib.Path(task["record"])
    function = own_python.load(task["source"], own_python.is_allowed())
    keywords = _keywords(function, task)
    with own_python.running(task["source"]):
        save = _save_rows if task["role"] == "data" else _save_network
        made = save(lambda: function(**keywords), task, record.parent)
    files.atomic_write(record, json.dumps(str(made)))
    return 0


def _save_rows(call, task, folder):
    return examples.save(call(), folder)


def _save_network(call, task, folder):
    import keras

    from distill.teach import given as networks

    # Those of the network that a config describes; see `teach.networks.build`.
    keras.utils.set_random_seed(task["seed"])
    network = call()
    networks.check(network, task["role"])
    return networks.save(network, task["role"], folder, tuple(task["input_shape"]))


def _keywords(function: Callable, task: dict) -> dict[str, Any]:
    """The keywords of a function: those of the config, and what it asks for by name.

    Raises:
        ConfigError: If it does not have such parameters.
    """
    signature = inspect.signature(function)
    keywords = {
        name: tuple(task[name]) if name == "input_shape" else task[name]
        for name in ("input_shape", "num_classes")
        if name in task and name in signature.parameters
    }
    keywords |= task["keywords"]
    try:
        signature.bind(**keywords)
    except TypeError as error:
        raise ConfigError(
            f"{task['source']}: `{function.__name__}{signature}` cannot be called with "
            f"the options {', '.join(keywords) or '(none)'}: {error}"
        ) from error
    return keywords


if __name__ == "__main__":
    raise SystemExit(main())
