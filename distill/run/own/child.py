"""The process that calls one function of the user's, and writes what it returns."""

import inspect
import json
import pathlib
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
    with own_python.running(task["source"]):
        save = _save_rows if task["role"] == "data" else _save_network
        made = save(function, task, record.parent)
    files.atomic_write(record, json.dumps(str(made)))
    return 0


def _save_rows(function, task, folder):
    return examples.save(_call(function, task, {}), folder)


def _save_network(function, task, folder):
    import keras

    from distill.teach import given as networks

    # Those of the network that a config describes; see `teach.networks.build`.
    keras.utils.set_random_seed(task["seed"])
    shape = tuple(task["input_shape"])
    network = _call(
        function, task, {"input_shape": shape, "num_classes": task["num_classes"]}
    )
    networks.check(network, task["role"])
    return networks.save(network, task["role"], folder, shape)


def _call(function: Any, task: dict, known: dict) -> Any:
    """Calls a function with its keywords, and with what it asks for by name.

    Raises:
        ConfigError: If it does not have such parameters.
    """
    signature = inspect.signature(function)
    asked = {
        name: value for name, value in known.items() if name in signature.parameters
    }
    keywords = {**asked, **task["keywords"]}
    try:
        signature.bind(**keywords)
    except TypeError as error:
        raise ConfigError(
            f"{task['source']}: `{function.__name__}{signature}` cannot be called with "
            f"the options {', '.join(keywords) or '(none)'}: {error}"
        ) from error
    return function(**keywords)


if __name__ == "__main__":
    raise SystemExit(main())
