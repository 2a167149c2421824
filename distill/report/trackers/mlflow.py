"""MLflow: a server of one's own, or a database beside the runs."""

import os
import time


class MLflow:
    """Sends a run to `MLFLOW_TRACKING_URI`; without it, to MLflow's local database.

    Only the client's calls are used: what a program has begun by `mlflow.start_run`
    is not touched.
    """

    def place(self, folder):
        """See `session.Tracker`."""
        # Else a server that does not answer is asked for many minutes.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
        import mlflow

        self._mlflow = mlflow
        place = mlflow.get_tracking_uri()
        local = place.startswith(("file:", "sqlite:", "/", "."))
        return f"MLflow, {'on this machine' if local else 'by the network'}: {place}"

    def open(self, name, known, folder, config):
        """See `session.Tracker`."""
        self._client = self._mlflow.MlflowClient()
        if known is not None:
            self._run = known
            self._client.update_run(known, status="RUNNING")
            return known
        project = os.environ.get("MLFLOW_EXPERIMENT_NAME", "distill")
        found = self._client.get_experiment_by_name(project)
        experiment = (
            found.experiment_id if found else self._client.create_experiment(project)
        )
        self._run = self._client.create_run(experiment, run_name=name).info.run_id
        self._client.log_dict(self._run, config, "config.json")
        return self._run

    def log(self, stage, numbers, step):
        """See `session.Tracker`."""
        now = int(1000 * time.time())
        metrics = [
            self._mlflow.entities.Metric(f"{stage}/{name}", value, now, step)
            for name, value in numbers.items()
        ]
        self._client.log_batch(self._run, metrics=metrics)

    def keep(self, paths):
        """See `session.Tracker`."""
        for path in paths:
            self._client.log_artifact(self._run, str(path))

    def close(self, failed):
        """See `session.Tracker`."""
        self._client.set_terminated(self._run, "FAILED" if failed else "FINISHED")
