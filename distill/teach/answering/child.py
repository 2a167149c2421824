"""The process that asks a teacher which is no network of Keras; see `trust.serving`."""

import os
import sys

import numpy as np

from distill.runtime import versions
from distill.runtime.errors import ConfigError
from distill.runtime.trust import limits, serving
from distill.teach.answering import formats, presets

_OPENERS = {**formats.FORMATS, "hub": presets.open_preset}


def main(argv: list[str]) -> int:
    """`FORM PATH`: opens the model and answers until its input ends."""
    form, path = argv
    # Libraries and the user's code print what they like: not among the answers.
    answers, questions = os.fdopen(os.dup(1), "wb"), sys.stdin.buffer
    os.dup2(2, 1)
    if form != "python":
        limits.limit(seconds=None)
    model = None
    while True:
        try:
            message, arrays = serving.read(questions)
        except ValueError:  # The end.
            return 0
        if form != "python":
            limits.limit_computing(message["seconds"], versions.cores())
        try:
            model = model or _OPENERS[form](path)
            serving.write(answers, _named(model(arrays["inputs"])), {})
        except limits.Refused as found:
            serving.write(answers, {}, {"refused": " ".join(str(found).split())})
        except ConfigError as mistake:
            serving.write(answers, {}, {"mistake": str(mistake)})


def _named(outputs):
    """Outputs by name in float32; one without a name is `logits`."""
    if not isinstance(outputs, dict):
        outputs = {"logits": outputs}
    return {str(name): _floats(name, values) for name, values in outputs.items()}


def _floats(name, values):
    try:
        return np.asarray(values, np.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"a teacher must answer with numbers. Received: {type(values).__name__} as "
            f"`{name}`: {error}"
        ) from None
