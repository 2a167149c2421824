"""Writes a run as event files for `tensorboard --logdir runs`.

TensorBoard's own record writer is used instead of `keras.callbacks.TensorBoard`, which
needs TensorFlow on every backend, and writes a stage as two runs with tags
(`epoch_kd_loss`) that differ from the names of the metrics elsewhere.
"""

from __future__ import annotations

import pathlib
import socket
import time
import types
import typing

import keras
import numpy as np
import yaml
from keras import ops
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.hparams import summary_v2 as hparams_summary
from tensorboard.plugins.scalar import summary_v2 as scalar_summary
from tensorboard.plugins.text import summary_v2 as text_summary
from tensorboard.summary.writer import record_writer

from distill import data
from distill.data import batches
from distill.report import images as report_images
from distill.report.charts import scores
from distill.runtime import seeds

if typing.TYPE_CHECKING:
    from distill import config

SAMPLES = 40  # Number of examples in a sheet.


def callbacks(
    log_dir: pathlib.Path,
    batch_size: int,
    past: typing.Mapping[str, typing.Sequence[float]] = types.MappingProxyType({}),
    images: typing.Mapping[
        str, typing.Callable[[], np.ndarray]
    ] = types.MappingProxyType({}),
) -> list[keras.callbacks.Callback]:
    """The callbacks with which `fit` writes one stage, on any backend of Keras.

    Each metric is written under its own name, at each epoch, counted from 0. The
    callback adds to `logs`, and so to `fit`'s history: `learning_rate` at the end of
    the epoch; `examples_per_second` of training without validation; and
    `<side>_gradient_norm` where an optimizer has several sides.

    Args:
        log_dir: A folder for this stage only. Its event files are replaced when
            training begins.
        batch_size: Number of training examples in each step.
        past: Name of each metric to its values in earlier epochs, of a training that
            is resumed.
        images: Tag to a function that returns images, `(n, height, width, channels)`,
            which are written as a sheet at the end of each epoch.
    """
    return [_Recorder(log_dir, batch_size, past, images)]


def write_run(
    log_dir: pathlib.Path, run: config.Run, report: dict, splits: data.Splits
) -> None:
    """Writes the data of the run as a whole.

    This is the config as text, samples of training examples (of the first batch of
    the first stage) and of test examples, the hyperparameters, and the final numbers
    of every model, by which TensorBoard compares runs.

    Args:
        log_dir: A folder for this data only, beside those of the stages: so their
            curves are no part of the comparison of runs. Its event files are
            replaced.
        run: The run.
        report: The content of `report.json`.
        splits: The run's data.
    """
    source = batches.Batches(
        splits.train,
        batch_size=run.batch_size,
        seed=seeds.seed_of(run.seed, "order", 0),
        augmentation=run.augmentation,
    )
    text = yaml.safe_dump(report["run"], sort_keys=False)
    file = _EventFile(log_dir)
    file.write(0, text_summary.text_pb("config", f"```yaml\n{text}```"))
    sheet = _texts if run.data.kind == "texts" else _image
    for part, inputs in (
        ("training", source.batch(0)[0][:SAMPLES]),
        ("test", splits.test.sample(SAMPLES, run.seed).floats()),
    ):
        file.write(0, sheet(f"{run.data.kind}/{part}", splits.decode(inputs)))
    file.write(0, hparams_summary.hparams_pb(_flat(report["run"])))
    for tag, value in final(report["models"]).items():
        file.write(0, scalar_summary.scalar_pb(tag, value))
    file.close()
    for record in report["stages"]:
        # Finishing trains with tf_keras, in a process without these callbacks.
        if record["model"].startswith("student.") and record["metrics"]:
            _curves(log_dir.parent / record["model"], record["metrics"]).close()


def _curves(log_dir, metrics):
    """Starts an event file with a curve for each metric, one value an epoch."""
    file = _EventFile(log_dir)
    for name, values in metrics.items():
        for epoch, value in enumerate(values):
            file.write(epoch, scalar_summary.scalar_pb(name, value))
    return file


class _Recorder(keras.callbacks.Callback):
    """Adds further numbers to `logs`, then writes all of them."""

    def __init__(self, log_dir, batch_size, past, images):
        super().__init__()
        self._log_dir = log_dir
        self._batch_size = batch_size
        self._past = past
        self._images = images
        self._file = None
        self._steps = 0
        self._start = self._train_end = 0.0

    def on_train_begin(self, logs=None):
        self._file = _curves(self._log_dir, self._past)

    def on_epoch_begin(self, epoch, logs=None):
        self._start, self._train_end = time.monotonic(), None
        self._steps = 0

    def on_train_batch_end(self, batch, logs=None):
        self._steps = batch + 1

    def on_test_begin(self, logs=None):
        self._train_end = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        seconds = (self._train_end or time.monotonic()) - self._start
        optimizer = self.model.optimizer
        added = {"learning_rate": optimizer.learning_rate}
        for side, norm in getattr(optimizer, "gradient_norms", {}).items():
            added[f"{side}_gradient_norm"] = norm
        # In place, for the callbacks after this one; the last is Keras' `History`.
        for name, value in added.items():
            logs[name] = float(ops.convert_to_numpy(value))
        logs["examples_per_second"] = self._steps * self._batch_size / seconds
        for name, value in logs.items():
            self._file.write(epoch, scalar_summary.scalar_pb(name, value))
        # On JAX, `fit` keeps the weights to itself until they are synchronized.
        if self._images and hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()
        for tag, make in self._images.items():
            self._file.write(epoch, _image(tag, make()))
        self._file.flush()

    def on_train_end(self, logs=None):
        if self._file is not None:  # Training may stop before it has begun.
            self._file.close()


class _EventFile:
    """The only event file of a folder, open for writing."""

    def __init__(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        now = time.time()
        # TensorFlow's form of the name: TensorBoard reads only files with `tfevents`.
        path = folder / f"events.out.tfevents.{now:010.0f}.{socket.gethostname()}"
        self._records = record_writer.RecordWriter(path.open("wb"))
        # TensorFlow's own writer begins a file with this event, too.
        self._add(event_pb2.Event(wall_time=now, file_version="brain.Event:2"))

    def write(self, step, summary):
        self._add(event_pb2.Event(wall_time=time.time(), step=step, summary=summary))

    def _add(self, event):
        self._records.write(event.SerializeToString())

    def flush(self):
        self._records.flush()

    def close(self):
        self._records.close()


def _image(tag, images):
    """The summary of a sheet of images, `(n, height, width, channels)`."""
    sheet = report_images.sheet(images)
    height, width, channels = sheet.shape
    image = summary_pb2.Summary.Image(
        height=height,
        width=width,
        colorspace=channels,
        encoded_image_string=report_images.png(sheet),
    )
    return summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag=tag, image=image)])


def _texts(tag, texts):
    """The summary of a list of texts."""
    # Indented: in Markdown this is shown literally, whatever characters it contains.
    return text_summary.text_pb(tag, "\n\n".join(f"    {text}" for text in texts))


def _flat(value: typing.Any, key: str = "") -> dict[str, bool | int | float | str]:
    """Flattens a config to `{"stages.0.trainer.kd_weight": 0.9}`, without `None`."""
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        # A list of numbers, such as `decay_epochs`, stays one value, as text.
        value = dict(enumerate(value))
    if isinstance(value, dict):
        pairs = [
            # The level `options` of a part would only lengthen every key.
            _flat(inner, key if name == "options" else f"{key}.{name}".lstrip("."))
            for name, inner in value.items()
        ]
        return {name: inner for pair in pairs for name, inner in pair.items()}
    if value is None:
        return {}
    return {key: value if isinstance(value, bool | int | float | str) else str(value)}


def final(models: list[dict]) -> dict[str, float]:
    """The numbers of every model on the test split, by tag."""
    numbers = {}
    for model in models:
        name = model["name"]
        kind = "accuracy" if scores.are_known([model]) else "agreement_with_teacher"
        numbers[f"test_{kind}/{name}"] = scores.of_test(model)
        if model["bytes"] is not None:  # Of a teacher that only answers.
            numbers[f"kilobytes/{name}"] = model["bytes"] / 1000
        if model["latency_ms"]:
            numbers[f"latency_ms/{name}"] = model["latency_ms"]["median"]
    return numbers
