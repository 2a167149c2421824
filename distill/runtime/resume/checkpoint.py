"""What a killed stage needs to go on: committed whole, the last two kept.

One file holds one moment: every variable by name, and notes. Its first line is
the SHA-256 of the rest, so that a damaged file is never taken for a whole one.
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

KEPT = 2  # A damaged newest one falls back to the one before.
_NOTES = "notes"
_COUNTER = re.compile(r"_\d+(?=[/:]|$)")


@dataclasses.dataclass(frozen=True)
class Moment:
    """The state of a stage after a number of steps.

    Attributes:
        step: Steps made, from the start of the stage.
        arrays: Name of each variable to its value, in the order of the variables.
        notes: What else must survive, as JSON: history, seconds.
    """

    step: int
    arrays: dict[str, np.ndarray]
    notes: dict


class Store:
    """The checkpoints of one stage, in one folder.

    Args:
        folder: Made if need be.
        name: Of the stage, such as `student.0`; no two stages of a run share it.
    """

    def __init__(self, folder: pathlib.Path, name: str):
        self._folder = folder
        self._name = name

    def save(self, moment: Moment) -> None:
        """Commits a moment, and forgets all but the last two: the chief alone does.

        Raises:
            WriteError: If the disk refuses; what was committed before stays.
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
        for old in self.files()[:-KEPT]:
            old.unlink()

    def newest(self) -> Moment | None:
        """The chief's last whole moment, or None; says where a later one is damaged."""
        body = distributed.broadcast(self._newest)
        return _unpack(body) if body else None

    def _newest(self):
        for path in reversed(self.files()):
            body = path.read_bytes()
            digest, body = body[:65], body[65:]
            if digest == _digest(body):
                return body
            progress.say(f"    {path.name} is damaged: going back to the one before")
        return b""

    def files(self) -> list[pathlib.Path]:
        """The committed files, the oldest first."""
        return sorted(self._folder.glob(f"{self._name}.step*.ckpt"))

    def clear(self) -> None:
        """Forgets all moments: the stage is over."""
        for path in self.files():
            path.unlink()


def names(variables) -> list[str]:
    """A name for each variable, the same in every process that builds the same.

    Args:
        variables: Of Keras 3 or tf_keras, in a fixed order. The counters that
            Keras adds to a name depend on what else the process has made, so
            the place in the order stands for them.
    """
    found = [
        variable.path if hasattr(variable, "path") else variable.name
        for variable in variables
    ]
    return [f"{index:05d} {_COUNTER.sub('', name)}" for index, name in enumerate(found)]


def restore(moment: Moment, variables) -> None:
    """Gives every variable its value of that moment.

    Raises:
        CheckpointError: If one is missing, or has another name, shape or type;
            nothing is changed then.
    """
    wanted = {
        name: (tuple(variable.shape), _type(variable))
        for name, variable in zip(names(variables), variables, strict=True)
    }
    held = {name: (a.shape, a.dtype.name) for name, a in moment.arrays.items()}
    if wanted != held:
        differing = sorted(
            name for name in {*wanted, *held} if wanted.get(name) != held.get(name)
        )[0]
        raise errors.CheckpointError(
            f"the checkpoint does not fit the networks: at `{differing}` it has "
            f"{held.get(differing)}, they {wanted.get(differing)}. Name another "
            "folder with --out"
        )
    for name, variable in zip(wanted, variables, strict=True):
        variable.assign(moment.arrays[name].copy())  # Torch would train in it.


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
