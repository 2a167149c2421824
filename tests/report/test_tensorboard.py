"""What a run writes is what TensorBoard reads."""

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.plugins.hparams import plugin_data_pb2
from tensorboard.util import tensor_util

import students
import trainers
from distill import config
from distill.report import tensorboard
from trainers import trainer


def read(folder):
    accumulator = event_accumulator.EventAccumulator(
        str(folder), size_guidance={"tensors": 0, "images": 0}
    )
    accumulator.Reload()
    return accumulator


def series(events, tag):
    return [
        float(np.asarray(tensor_util.make_ndarray(e.tensor_proto)))
        for e in events.Tensors(tag)
    ]


@pytest.fixture(scope="module")
def fitted_stage(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stage")
    teacher, student = (
        students.ResNet(depth=8, width=2).build((8, 8, 1), 3) for _ in range(2)
    )
    model = trainer.Trainer(student=student, method=trainers.LIT(), teacher=teacher)
    model.compile(
        optimizer=keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 6)),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    images, labels = np.zeros((6, 8, 8, 1), "float32"), np.arange(6) % 3
    history = model.fit(
        images,
        labels,
        batch_size=2,
        epochs=2,
        verbose=0,
        validation_data=(images, labels),
        callbacks=tensorboard.callbacks(folder, batch_size=3),
    ).history
    return read(folder), history


def test_every_number_of_a_stage_is_there_by_its_name(fitted_stage):
    events, history = fitted_stage
    expected = {"loss", "task_loss", "regularization_loss", "kd_loss", "accuracy"}
    expected |= {"section1_loss", "section2_loss", "section3_loss"}
    expected |= {f"val_{name}" for name in expected}
    expected |= {"learning_rate", "examples_per_second"}
    assert set(events.Tags()["tensors"]) == set(history) == expected
    for name, values in history.items():
        np.testing.assert_allclose(series(events, name), values, rtol=1e-5)
    assert history["learning_rate"][0] == pytest.approx(0.05)
    assert min(history["examples_per_second"]) > 0


def test_a_stage_that_goes_on_has_its_whole_curve_once(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    x, past = np.zeros((4, 2), "float32"), {"loss": [9.0, 8.0]}
    for _ in range(2):  # The second time, it was killed after the first.
        model.fit(
            x,
            np.ones((4, 1)),
            initial_epoch=2,
            epochs=4,
            verbose=0,
            callbacks=tensorboard.callbacks(tmp_path, batch_size=4, past=past),
        )
    events = read(tmp_path)
    assert series(events, "loss")[:2] == [9.0, 8.0]
    assert [event.step for event in events.Tensors("loss")] == [0, 1, 2, 3]


def test_a_run_has_config_images_and_hyperparameters(tmp_path):
    run = config.load("lit_resnet.yaml")
    model = {"name": "student.int8", "accuracy": 97.5, "bytes": 9000}
    stage = {"model": "student.int8", "name": "int8"}
    report = {
        "run": config.plain(run),
        "models": [{**model, "latency_ms": {"median": 0.5}}],
        "stages": [
            {**stage, "metrics": {"loss": [2.0, 1.0], "val_accuracy": [0.5, 0.75]}}
        ],
    }
    for _ in range(2):  # Written again, it is there once.
        tensorboard.write_run(tmp_path / "run", run, report, run.data.load())
    events = read(tmp_path / "run")
    assert set(events.Tags()["images"]) == {"images/training", "images/test"}
    assert len(events.Images("images/test")) == 1
    text = tensor_util.make_ndarray(events.Tensors("config")[0].tensor_proto)
    assert "temperature: 4.0" in str(text)
    assert series(events, "test_accuracy/student.int8") == [97.5]
    plugin = events.SummaryMetadata("_hparams_/session_start_info").plugin_data
    data = plugin_data_pb2.HParamsPluginData.FromString(plugin.content)
    values = data.session_start_info.hparams
    assert values["batch_size"].number_value == 64
    assert values["stages.0.trainer.section_weight"].number_value == 1.0
    curves = read(tmp_path / "student.int8")
    assert series(curves, "loss") == [2.0, 1.0]
    assert series(curves, "val_accuracy") == [0.5, 0.75]
