"""Trackio: a database of this machine, or a Space of Hugging Face."""

import os
import uuid


class Trackio:
    """Writes a run into `TRACKIO_DIR`; with `TRACKIO_SPACE_ID`, sends it to the Space.

    The machine's load is not recorded.
    """

    def place(self, folder):
        """See `session.Tracker`."""
        import trackio

        self._trackio = trackio
        for name in ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL"):
            if os.environ.get(name):
                return f"Trackio, by the network: {name}={os.environ[name]}"
        return f"Trackio, on this machine: {trackio.utils.TRACKIO_DIR}"

    def open(self, name, known, folder, config):
        """See `session.Tracker`."""
        # Trackio finds a run again by its name.
        self._name = known or f"{name}-{uuid.uuid4().hex[:8]}"
        self._trackio.init(
            project="distill",
            name=self._name,
            config=config,
            resume="must" if known else "never",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
        return self._name

    def log(self, stage, numbers, step):
        """See `session.Tracker`."""
        named = {f"{stage}/{name}": value for name, value in numbers.items()}
        self._trackio.log(named, step=step)

    def keep(self, paths):
        """See `session.Tracker`."""
        artifact = self._trackio.Artifact(self._name, type="run")
        for path in paths:
            artifact.add_file(str(path))
        self._trackio.log_artifact(artifact)

    def close(self, failed):
        """See `session.Tracker`."""
        self._trackio.finish()
