"""How good a model of a report is: its accuracy or, without labels, its agreement.

Agreement with the teacher is no accuracy: what they agree on may be wrong. It only
takes the place of what decides between files, under a name of its own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Model = Mapping[str, Any]


def of_test(model: Model) -> float:
    """Percentage of the test examples on which a model is right, else agrees."""
    return _either(model, "accuracy", "agreement_with_teacher")


def of_validation(model: Model) -> float:
    """As `of_test`, on the validation split."""
    return _either(model, "validation_accuracy", "validation_agreement")


def are_known(models: Sequence[Model]) -> bool:
    """Whether the accuracy of models on the test split is known."""
    return all(model["accuracy"] is not None for model in models)


def word(models: Sequence[Model]) -> str:
    """What `of_test` is of these models, in words."""
    return "accuracy" if are_known(models) else "agreement with the teacher"


def _either(model, known, agreement):
    # Of a reference, nothing is measured on the validation split.
    return model.get(agreement) if model[known] is None else model[known]
