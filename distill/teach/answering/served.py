"""A foreign model, asked in a process of its own."""

import contextlib
from contextlib import AbstractContextManager

import numpy as np

from distill.runtime import errors, hashes

_ROWS = 128  # Examples in one question, which may become larger images.


class Served:
    """A foreign model in a process of its own, which starts when it is asked.

    Args:
        where: The teacher's key and file, for messages.
        server: The process.
        prepare: From inputs of the student to those of the teacher.
        arrange: From the teacher's outputs to those in the student's order of classes.
        identity: See `Answerer`.
    """

    def __init__(self, where, server, prepare, arrange, identity):
        self.where, self._server = where, server
        self._prepare, self._arrange = prepare, arrange
        self.identity = self._opened = identity
        self.shapes: dict[str, tuple[int, ...]] = {}

    def find_shapes(self, blank: np.ndarray) -> None:
        """Asks for blank inputs, `(n, ...)`, to know the shapes of the outputs."""
        answers = self._ask(blank)  # Which need not be finite.
        ordered = sorted(answers, key=lambda name: name != "logits")
        self.shapes = {name: answers[name].shape[1:] for name in ordered}

    def check(self, splits):
        """See `Answerer`: it answers to any example."""

    def answer(self, split, indices, inputs):
        """See `Answerer`."""
        parts = [
            self._checked(inputs[start : start + _ROWS])
            for start in range(0, len(inputs), _ROWS)
        ]
        return {name: np.concatenate([x[name] for x in parts]) for name in self.shapes}

    def _checked(self, inputs):
        answers = self._ask(inputs)
        shapes = {name: values.shape[1:] for name, values in answers.items()}
        if shapes != self.shapes:
            raise errors.ConfigError(
                f"{self.where} must answer to all examples in one shape. Received: "
                f"{shapes} after {self.shapes}"
            )
        for name, values in answers.items():
            unfinished = int(
                (~np.isfinite(values.reshape(len(values), -1))).any(1).sum()
            )
            if unfinished:
                raise errors.ConfigError(
                    f"{self.where} must answer with finite numbers. Received: NaN or "
                    f"infinity in `{name}` for {unfinished} of {len(values)} examples"
                )
        return answers

    def _ask(self, inputs):
        answers = self._server.ask(np.ascontiguousarray(self._prepare(inputs)))
        for name, values in answers.items():
            if values.ndim < 2 or len(values) != len(inputs):
                raise errors.ConfigError(
                    f"{self.where} must give one `{name}` for each of "
                    f"{len(inputs)} examples. Received: shape {values.shape}"
                )
        return self._arrange(answers)

    def ready(self) -> AbstractContextManager:
        """See `Answerer`; the process ends, and starts again if it is asked again."""
        return contextlib.closing(self._server)


class Reader(Served):
    """One that reads the texts themselves: it has a tokenizer of its own."""

    def check(self, splits):
        """See `Answerer`; takes the texts, which are more than the student's ids."""
        parts = splits.with_unlabelled()
        self._texts = {name: part.texts for name, part in parts.items()}
        found = hashes.fingerprint(
            *(text for part in self._texts.values() for text in part)
        )
        self.identity = f"{self._opened} {found}"

    def answer(self, split, indices, inputs):
        """See `Answerer`."""
        return super().answer(split, indices, self._texts[split][indices])
