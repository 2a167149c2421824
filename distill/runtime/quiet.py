"""Keeps back what native libraries write of themselves, and nothing else.

TensorFlow logs before its log has a level: no variable and no call stops these lines.
"""

import contextlib
import importlib.util
import os
import re
import sys
import tempfile

_LIBRARY = "tensorflow"
_KNOWN = re.compile(
    r"All log messages before absl::InitializeLog\(\) is called"
    r"|oneDNN custom operations are on"
    r"|Could not find cuda drivers on your machine"
    r"|Created TensorFlow Lite XNNPACK delegate"
    r"|fully_quantize: \d, inference_type: "
)


@contextlib.contextmanager
def native():
    """Holds what is written to the process's stderr, then passes on what is no chatter.

    Other threads are held too: keep it around short things.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            lines = held.read().decode(errors="replace").splitlines(keepends=True)
            sys.stderr.write("".join(line for line in lines if not _KNOWN.search(line)))


def watch_import() -> None:
    """Lets TensorFlow's import, by whomever, be `native`."""
    if _LIBRARY not in sys.modules and not any(
        isinstance(finder, _Finder) for finder in sys.meta_path
    ):
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """Finds TensorFlow as Python does, and wraps what runs it."""

    asking = False

    def find_spec(self, name, path=None, target=None):
        if name != _LIBRARY or self.asking:
            return None
        self.asking = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self.asking = False
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def quietly(module):
                with native():
                    run(module)

            spec.loader.exec_module = quietly
        return spec
