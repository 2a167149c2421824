"""What the finishing process does before it makes the first file of a student."""

import pathlib
from typing import Any

from distill.compress import capabilities, convert, diagnosis
from distill.run import blocked
from distill.runtime import progress, stopwatch
from distill.runtime.trust import loader
from distill.teach.networks import build

TEACHER = "teacher.float32.tflite"


def convert_teacher(material: Any, folder: pathlib.Path) -> bytes | None:
    """The teacher's file, to compare sizes with; None if it exists, or no teacher.

    Args:
        material: The `distill.compress.material.Material`.
        folder: The run's folder.
    """
    if material.teacher_network is None or (folder / TEACHER).exists():
        return None
    with stopwatch.working("conversion", TEACHER):
        return convert.to_tflite(material.teacher_network, "float32")


def try_layers(run: Any, folder: pathlib.Path) -> None:
    """Tries the layers of a student that is not trained yet, as its finishers will.

    Args:
        run: The config.
        folder: The run's folder.
    """
    # Others fold the network first, and ask of other layers.
    parts = [part for part in run.finish if part.asks == ("quantize",)]
    if not parts or (folder / "student.keras").exists():
        return
    with stopwatch.working(part="finishing process: trials of layers"):
        network = build.build("student", run)
        for part in parts:
            capabilities.try_early(network, part.engine, part.scheme)


def check_layers(run: Any, folder: pathlib.Path) -> None:
    """Tries all layers of a student that was trained elsewhere.

    Args:
        run: The config.
        folder: The run's folder.

    Raises:
        ConfigError: If some file cannot be made of it; see `blocked.check`.
    """
    student = loader.open_own(folder / "student.keras")
    with progress.step("finishers", "trying each layer of the network"):
        blocked.check(diagnosis.diagnose(student), run.finish)
