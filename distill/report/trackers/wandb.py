"""Weights & Biases: offline, unless `WANDB_MODE=online` is set."""

import os
import uuid


class WandB:
    """Writes a run into `wandb/` of its folder; with `WANDB_MODE=online`, sends it.

    Neither the console, the program's source nor the machine's load is recorded.
    """

    def place(self, folder):
        """See `session.Tracker`."""
        self._mode = os.environ.get("WANDB_MODE", "offline")
        if self._mode == "offline":
            place = folder / "wandb"
            return f"Weights & Biases, on this machine: {place} (`wandb sync` sends it)"
        server = os.environ.get("WANDB_BASE_URL", "its own server")
        return f"Weights & Biases, by the network ({self._mode}): {server}"

    def open(self, name, known, folder, config):
        """See `session.Tracker`."""
        import wandb

        self._artifact = wandb.Artifact
        self._name, self._known_stages = name, set()
        identity = known or uuid.uuid4().hex[:12]
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "distill"),
            name=name,
            id=identity,
            resume="allow",
            dir=str(folder),
            config=config,
            mode=self._mode,
            reinit="create_new",
            settings=wandb.Settings(
                silent=True,
                console="off",
                disable_git=True,
                save_code=False,
                disable_code=True,
                x_disable_stats=True,
                x_disable_meta=True,
                x_save_requirements=False,
                init_timeout=30,
                finish_timeout=120,
            ),
        )
        return identity

    def log(self, stage, numbers, step):
        """See `session.Tracker`."""
        epoch = f"{stage}/epoch"
        if stage not in self._known_stages:
            # A run has one count of steps; every stage counts its own epochs.
            self._known_stages.add(stage)
            self._run.define_metric(epoch, hidden=True)
            self._run.define_metric(f"{stage}/*", step_metric=epoch)
        named = {f"{stage}/{name}": value for name, value in numbers.items()}
        self._run.log({**named, epoch: step})

    def keep(self, paths):
        """See `session.Tracker`."""
        artifact = self._artifact(self._name, type="run")
        for path in paths:
            artifact.add_file(str(path))
        self._run.log_artifact(artifact)

    def close(self, failed):
        """See `session.Tracker`."""
        self._run.finish(exit_code=int(failed))
