"""What is guaranteed of files on new examples, in sentences without a full stop."""

from collections.abc import Sequence

from distill.measure.codec import certificate
from distill.runtime import formats

_SURE = f"with {100 * (1 - certificate.RISK):.0f} % certainty"


def lines(models: Sequence[dict]) -> list[str]:
    """One sentence for each file that has a certificate.

    Args:
        models: Those of `report.json`.
    """
    return [
        f"certificate of {model['name']}: {_state(model['certificate'])}"
        for model in models
        if "certificate" in model
    ]


def _state(found):
    size = f"{formats.whole(-(-found['bits'] // 8))} bytes"
    measured = (
        f"{formats.percent(found['training_error'])} % of "
        f"{formats.whole(found['examples'])} training examples wrong"
    )
    bound = f"{formats.percent(found['bound'])} % wrong on new examples like these"
    if not found["vacuous"]:
        return f"{_SURE} at most {bound} ({measured}, described in {size})"
    guessing = f"always one class: {formats.percent(found['guessing'])} %"
    allowed = found["allowed_bytes"]
    would = (
        f"a bound would need at most {formats.whole(allowed)} bytes"
        if allowed
        else "no file of that error would have a bound"
    )
    return (
        f"none, only at most {bound} ({guessing}): {measured}, described in {size}; "
        f"{would}"
    )
