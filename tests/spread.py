"""Trains methods on what there is, and prints what they logged, as JSON.

    spread.py FOLDER METHODS STRATEGY...

One line a strategy, all in one process. Where the process is one of several, that
of the number `DIES` dies without a word in the second epoch, and the chief at the end.
"""

import json
import os
import pathlib
import signal
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

from distill.runtime import errors, progress
from distill.runtime.process import distributed

VALIDATING = int(os.environ.get("VALIDATING", "7"))


def two_processors():
    """Makes two devices of TensorFlow; of JAX, `XLA_FLAGS` does."""
    import tensorflow as tf

    (processor,) = tf.config.list_physical_devices("CPU")
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(processor, two)


def network(seed):
    """Under the contract of `students`, as small as can be, with norms."""
    import keras

    keras.utils.set_random_seed(seed)
    layers, l2 = keras.layers, keras.regularizers.L2(1e-3)
    value = inputs = keras.Input((6,))
    outputs = {}
    for name in ("stem", "section1"):
        given = keras.Input(value.shape[1:])
        made = layers.Dense(6, use_bias=False, kernel_regularizer=l2)(given)
        made = layers.ReLU()(layers.BatchNormalization(momentum=0.5)(made))
        value = outputs[name] = keras.Model(given, made, name=name)(value)
    outputs["logits"] = layers.Dense(3, name="logits")(value)
    return keras.Model(inputs, outputs)


def method(name):
    """What is trained; `lit_adversarial` has the losses of all the others."""
    import trainers
    from gan.discriminators import Discriminator

    kind = trainers.TRAINERS[name]
    if not issubclass(kind, trainers.Adversarial):
        return kind()
    return kind(discriminator=Discriminator(units=(8,)), condition="input")


def trained(method, folder, part):
    """What two epochs have logged, and what the student then is."""
    import keras
    import numpy as np

    from distill import data
    from distill.data import augmentation, batches
    from distill.measure import stitching
    from distill.runtime.resume import checkpoint
    from distill.teach import fit
    from distill.teach import learner as learners
    from trainers import trainer

    rng = np.random.default_rng(0)
    split = data.Split(rng.random((40, 6), np.float32), np.arange(40) % 3)
    source = batches.Batches(
        split, batch_size=8, seed=1, augmentation=augmentation.Augmentation()
    )
    teacher, student = network(0), network(1)
    keras.utils.set_random_seed(2)
    learner = trainer.Trainer(student=student, teacher=teacher, method=method)
    learner.compile(
        **learners.compile_options(part, learner.sides(keras.optimizers.SGD(0.1))),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=["accuracy"],
    )
    validation = split.take(slice(VALIDATING))

    class Death(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.last = 2 if epoch == 1 else None

        def on_train_batch_end(self, batch, logs=None):
            if batch == self.last:
                os.kill(os.getpid(), signal.SIGKILL)

    dies = distributed.count() > 1 and os.environ.get("DIES") == str(
        distributed.index()
    )
    record = fit.fit(
        learner,
        source,
        epochs=2,
        store=checkpoint.Store(folder, "stage"),
        callbacks=lambda past: [
            *stitching.callbacks(learner, validation, 0),
            *([Death()] if dies else []),
        ],
        validation=validation,
    )
    trainer.recalibrate(student, [source.batch(0)[0]])
    weights = np.concatenate([value.ravel() for value in student.get_weights()])
    return record["metrics"] | {"weights": weights.tolist()}


def main(folder, methods, *strategies):
    """Prints what each strategy gives."""
    for strategy in strategies:
        with distributed.join(strategy):
            import keras

            from distill import config
            from distill.teach.hardware import strategy as spreading

            if keras.backend.backend() == "tensorflow" and strategy == strategies[0]:
                two_processors()
            assignments = ["batch_size=8", f"hardware.strategy={strategy}"]
            run = config.load("gan_resnet.yaml", assignments)
            with spreading.scope(spreading.resolve(run), run.hardware):
                found = {
                    name: trained(method(name), folder / strategy / name, run.hardware)
                    for name in methods.split(",")
                }
            print(json.dumps(found), flush=True)
            if distributed.count() > 1:
                distributed.broadcast(lambda: b"")  # Who has not printed yet would not.
                if distributed.is_chief():
                    os.kill(os.getpid(), signal.SIGKILL)
                distributed.broadcast(lambda: b"")  # Waits for who is no more.


if __name__ == "__main__":
    progress.start()
    place, *wanted = sys.argv[1:]
    try:
        main(pathlib.Path(place), *wanted)
    except errors.PeerLost as lost:
        print(f"error: {lost}", file=sys.stderr)
        sys.exit(errors.EXIT_PEER)
