"""Checkpoints of a stage, written atomically; the last two are kept.

One file holds one moment: every variable by name, and notes. Its first line is
the SHA-256 of the rest, so that a damaged file is always recognised.
"""

import dataclasses
import hashlib
import io
import json
import pathlib
import re

import numpy as np

from distill.runtime import errors, files, progress
from distill.runtime.process import distributed

KEPT = 2  # If the newest is damaged, the one before it is used.
_NOTES = "notes"
_COUNTER = re.compile(r"_\d+(?=[/:]|$)")


@dataclasses.dataclass(frozen=True)
class Moment:
    """The state of a stage after a number of steps.

    Attributes:
        step: Number of steps since the start of the stage.
        arrays: Name of each variable to its value, in the order of the variables.
        notes: Other state, as JSON: history, seconds.
    """

    step: int
    arrays: dict[str, np.ndarray]
    notes: dict


class Store:
    """The checkpoints of one stage, in one folder.

    Args:
        folder: Created when it is first needed.
        name: Name of the stage, such as `student.0`, unique in a run.
    """

    def __init__(self, folder: pathlib.Path, name: str):
        self._folder = folder
        self._name = name

    def save(self, moment: Moment) -> None:
        """Writes a checkpoint and deletes all but the last two; only the chief does.

        Raises:
            WriteError: If writing fails; earlier checkpoints stay.
        """
        if not distributed.is_chief():
            return
        packed = io.BytesIO()
        arrays = dict(moment.arrays)
        arrays[_NOTES] = np.array(json.dumps([moment.step, moment.notes]))
        np.savez(packed, **arrays)
        body = packed.getvalue()
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{self._name}.step{moment.step:012d}.ckpt"
        files.atomic_write(path, _digest(body) + body)
        # Only now, when the new one is whole on the disk.
        for old in self.files()[:-KEPT]:
            old.unlink()

    def newest(self) -> Moment | None:
        """The chief's last undamaged moment, or None; reports each damaged one."""
        body = distributed.broadcast(self._newest)
        return _unpack(body) if body else None

    def _newest(self):
        for path in reversed(self.files()):
            body = path.read_bytes()
            # 64 hexadecimal digits and the end of the line.
            digest, body = body[:65], body[65:]
            if digest == _digest(body):
                return body
            progress.say(f"    {path.name} is damaged: going back to the one before")
        return b""

    def files(self) -> list[pathlib.Path]:
        """The checkpoint files, oldest first."""
        # Step numbers have leading zeros, so their order as text is that of steps.
        return sorted(self._folder.glob(f"{self._name}.step*.ckpt"))

    def clear(self) -> None:
        """Deletes all checkpoints; called when the stage is over."""
        for path in self.files():
            path.unlink()


def names(variables) -> list[str]:
    """A name for each variable that is equal in every process that builds the same.

    Args:
        variables: Variables of Keras 3 or tf_keras, in a fixed order. The counters
            that Keras adds to a name depend on what else the process has made, so
            the position in this order replaces them.
    """
    paths = [
        variable.path if hasattr(variable, "path") else variable.name
        for variable in variables
    ]
    return [f"{index:05d} {_COUNTER.sub('', name)}" for index, name in enumerate(paths)]


def restore(moment: Moment, variables) -> None:
    """Sets every variable to its value in a moment.

    Raises:
        CheckpointError: If a variable is missing, or has another name, shape or type.
            No variable is changed then.
    """
    expected = {
        name: (tuple(variable.shape), _type(variable))
        for name, variable in zip(names(variables), variables, strict=True)
    }
    received = {name: (a.shape, a.dtype.name) for name, a in moment.arrays.items()}
    if expected != received:
        mismatch = sorted(
            name
            for name in {*expected, *received}
            if expected.get(name) != received.get(name)
        )[0]
        raise errors.CheckpointError(
            f"the checkpoint does not fit the networks: at `{mismatch}` it has "
            f"{received.get(mismatch)}, they {expected.get(mismatch)}. Name another "
            "folder with --out"
        )
    for name, variable in zip(expected, variables, strict=True):
        # A copy: on PyTorch the variable would share the array's memory, and training
        # would change the moment, which may be restored again.
        variable.assign(moment.arrays[name].copy())


def _type(variable):
    kind = variable.dtype
    return kind if isinstance(kind, str) else kind.name


def _digest(body):
    return hashlib.sha256(body).hexdigest().encode() + b"\n"


def _unpack(body):
    with np.load(io.BytesIO(body), allow_pickle=False) as packed:
        arrays = {name: packed[name] for name in packed.files}
    step, notes = json.loads(str(arrays.pop(_NOTES)))
    return Moment(step, arrays, notes)
