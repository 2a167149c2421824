"""A process with limits, for foreign files; what it dies of hurts nobody else."""

import importlib
import os
import pathlib
import sys

from distill.runtime.trust import limits


def open_keras(given: pathlib.Path, made: pathlib.Path) -> None:
    """Opens a scanned `.keras` file, and writes it anew.

    Raises:
        Refused: If the weights reach out of the file, or Keras refuses it.
    """
    import tempfile
    import zipfile

    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(given) as archive:
            weights = pathlib.Path(folder) / "weights.h5"
            weights.write_bytes(archive.read("model.weights.h5"))
        try:
            limits.check_weights(weights, given.stat().st_size)
        except limits.Refused:
            raise
        except Exception as error:  # h5py raises whatever its C library does.
            raise limits.Refused(f"its weights cannot be read: {error}") from None
    from distill.runtime.trust import loader

    try:
        model = loader.open_own(given)
    except Exception as error:  # A damaged file raises whatever its reader does.
        raise limits.Refused(f"Keras cannot open it: {error}") from None
    model.save(made)


def main(argv: list[str]) -> int:
    """`open GIVEN MADE`, `measure FOLDER`, `answer FORM PATH`, or a command."""
    task, *rest = argv
    if task == "measure":
        limits.limit(limits.MEASURING_SECONDS, os.cpu_count() or 1)
        return importlib.import_module("distill.run.evaluation.foreign").main(*rest)
    if task == "answer":
        return importlib.import_module("distill.teach.answering.child").main(rest)
    limits.limit()
    if task in ("evaluate", "export", "inspect", "pack", "unpack"):
        command = importlib.import_module(f"distill.{task}")
        return command.main(rest, limited=True)
    try:
        open_keras(*map(pathlib.Path, rest))
    except limits.Refused as found:
        print(" ".join(str(found).split()))
        return limits.REFUSED
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
