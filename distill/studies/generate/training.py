"""The networks of a study, each trained once: classifier, teacher, student, control."""

import pathlib

import keras

from distill import config, data
from distill.config import roles
from distill.data import augmentation, batches
from distill.report import tensorboard
from distill.runtime import seeds
from distill.studies.generate import translation
from distill.studies.generate.study import Study
from distill.teach import fit, memory, stages
from distill.teach.learner import jit_compile
from distill.teach.workspace import Workspace
from gan.translators import ResidualTranslator
from trainers import trainer
from trainers.generators.translator import SectionTrainer, TranslatorTrainer
from trainers.lit.lit import LIT


def classifier(study: Study, splits: data.Splits, folder: pathlib.Path) -> keras.Model:
    """Trains the judge, a run's student that learns from labels alone."""
    part = study.classifier
    alone = config.Run(
        data=study.data,
        batch_size=study.batch_size,
        seed=study.seed,
        teacher=roles.Teacher(network=part.network, stages=part.stages),
        student=part.network,
        stages=part.stages,
    )
    network, _ = stages.train(
        "classifier", part.stages, Workspace(alone, splits, folder)
    )
    return network


class Lesson:
    """All generators of one seed; what is finished is opened and not trained again.

    Args:
        study: What to do.
        splits: The data; the training split alone is seen.
        seed: Of weights, order and draws.
        folder: Of this seed.

    Attributes:
        networks: Name to generator: `teacher`, `student_lit`, `student`, `scratch`.
        records: One a stage, as in `report.json`.
    """

    def __init__(
        self, study: Study, splits: data.Splits, seed: int, folder: pathlib.Path
    ):
        self._study = study
        self._seed = seed
        self._folder = folder
        self._source = batches.Batches(
            splits.train,
            batch_size=study.batch_size,
            seed=seeds.seed_of(seed, "order"),
            augmentation=augmentation.Augmentation(),
        )
        self._shown = splits.train
        self.networks: dict[str, keras.Model] = {}
        self.records: list[dict] = []

    def give(self) -> None:
        """Trains teacher, student and control."""
        study = self._study
        opponent = self._play("teacher", study.teacher_epochs)
        self._imitate()
        self._play(
            "student", study.tuning_epochs, self.networks["student_lit"], opponent
        )
        self._play("scratch", study.scratch_epochs)

    def _play(self, name, epochs, start=None, opponent=None):
        """Trains a generator in a game, from copies of two networks if given.

        Returns:
            The discriminator.
        """

        def training(store):
            network, against = self._generator(name), self._discriminator(name)
            for made, given in ((network, start), (against, opponent)):
                if given is not None:
                    made.set_weights(given.get_weights())
            self._ready(name, network, against)
            learner = TranslatorTrainer(
                generator=network, discriminator=against, method=self._study.training
            )
            steps = epochs * self._source.steps_per_epoch
            record = self._fit(learner, learner.sides(steps), name, epochs, store)
            return _pair(network, against), {**record, "name": "stargan"}

        both = self._once(name, "stargan", training, epochs)
        self.networks[name] = both.get_layer("generator")
        return both.get_layer("discriminator")

    def _imitate(self):
        """Trains the student's section on the teacher's."""
        part, name = self._study.lit, "student_lit"

        def training(store):
            network = self._generator(name)
            self._ready(name, network)
            learner = SectionTrainer(
                teacher=self.networks["teacher"], student=network, method=LIT()
            )
            steps = part.epochs * self._source.steps_per_epoch
            sides = learner.sides(part.learning_rate, steps)
            record = self._fit(learner, sides, name, part.epochs, store)
            trainer.thaw(network)
            return network, {**record, "name": "lit"}

        self.networks[name] = self._once(name, "lit", training, part.epochs)

    def _once(self, name, method, training, epochs):
        title = f"{name} ({method}), seed {self._seed}"
        made, record = stages.train_once(
            name, title, self._folder, training, epochs=epochs
        )
        self.records.append(record)
        return made

    def _generator(self, name):
        """As before training: student and control alike."""
        role = "teacher" if name == "teacher" else "student"
        part: ResidualTranslator = getattr(self._study, role)
        return self._built(part, role)

    def _discriminator(self, name):
        """As before training: of teacher and control alike."""
        return self._built(self._study.discriminator, "discriminator")

    def _built(self, part, role):
        keras.utils.set_random_seed(seeds.seed_of(self._seed, role, "weights"))
        shape = self._study.data
        return part.build(shape.input_shape, shape.num_classes)

    def _ready(self, name, *networks):
        for network in networks:
            memory.check(network, self._study.batch_size)
        keras.utils.set_random_seed(seeds.seed_of(self._seed, name))

    def _fit(self, learner, sides, name, epochs, store):
        learner.compile(optimizer=sides, jit_compile=jit_compile())
        log_dir = self._folder / "tensorboard" / name
        made = getattr(learner, "student", None) or learner.generator
        record = fit.fit(
            learner,
            self._source,
            name=name,
            epochs=epochs,
            store=store,
            callbacks=lambda past: tensorboard.callbacks(
                log_dir,
                self._source.batch_size,
                past,
                {"images/generated": lambda: translation.samples(made, self._shown)},
            ),
        )
        return {"model": name, **record}


def _pair(network, against):
    """Generator and discriminator as one model, to be kept in one file."""
    given = keras.Input(network.input.shape[1:], name="given")
    examples = keras.Input(against.input.shape[1:], name="examples")
    outputs = [network(given)["images"], against(examples)["score"]]
    return keras.Model([given, examples], outputs, name="pair")
