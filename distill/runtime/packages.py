"""Packages that a part of the work needs, and that a machine may lack."""

import importlib.util

from distill.runtime import errors

LITERT = "ai_edge_litert"
MICRO = "tflite_micro"
ONNX = ("onnx", "onnxruntime")
HUB = "keras_hub"
READING = (LITERT, "constriction")  # What a `.tflite` file is read and measured with.
# Import name to the name to install, where more than a dash differs.
_DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn"}
# Those of an extra, which pins their versions.
_EXTRAS = {MICRO: "-e '.[micro]'"} | dict.fromkeys(ONNX, "-e '.[onnx]'")
_EXTRAS |= {name: f"-e '.[{name}]'" for name in ("mlflow", "wandb", "trackio")}
_EXTRAS[HUB] = "-e '.[hub]'"


def missing(*names: str) -> list[str]:
    """Which of these are not installed; imports none of them.

    Args:
        names: As they are imported.
    """
    return [name for name in names if importlib.util.find_spec(name) is None]


def require(what: str, *names: str) -> None:
    """Refuses to begin what cannot be done here.

    Args:
        what: That is wanted.
        names: Of the packages that it needs, as they are imported.

    Raises:
        ConfigError: If one of them is not installed.
    """
    if lacking := missing(*names):
        raise errors.ConfigError(f"{what} needs {say(lacking)}")


def say(lacking: list[str]) -> str:
    """That these are not installed, and how to mend it: the end of a sentence."""
    named = [_DISTRIBUTIONS.get(name, name.replace("_", "-")) for name in lacking]
    one = "is" if len(named) == 1 else "are"
    wanted = dict.fromkeys(
        _EXTRAS.get(name, known) for name, known in zip(lacking, named, strict=True)
    )
    listed = ", ".join(named)
    return f"{listed}, which {one} not installed: pip install {' '.join(wanted)}"
