"""Trains the networks of a study: classifier, teacher, student and control."""

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
    """Trains the classifier that judges images."""
    part = study.classifier
    # A run needs a teacher; `supervised` stages do not use it.
    run = config.Run(
        data=study.data,
        batch_size=study.batch_size,
        seed=study.seed,
        teacher=roles.Teacher(network=part.network, stages=part.stages),
        student=part.network,
        stages=part.stages,
    )
    network, _ = stages.train("classifier", part.stages, Workspace(run, splits, folder))
    return network


class SeedTraining:
    """The training of all generators of one seed; finished ones are loaded.

    Args:
        study: The config.
        splits: The data; only the training split is used.
        seed: Decides weights, order and draws.
        folder: The folder of this seed.

    Attributes:
        networks: Name to generator: `teacher`, `student_lit`, `student`, `scratch`.
        records: The record of each stage, as in `report.json`.
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
        self._train = splits.train
        self.networks: dict[str, keras.Model] = {}
        self.records: list[dict] = []

    def train(self) -> None:
        """Trains teacher, student and control."""
        study = self._study
        discriminator = self._train_game("teacher", study.teacher_epochs)
        self._train_section()
        self._train_game(
            "student", study.tuning_epochs, self.networks["student_lit"], discriminator
        )
        self._train_game("scratch", study.scratch_epochs)

    def _train_game(self, name, epochs, start=None, start_discriminator=None):
        """Trains a generator against a discriminator, from the given weights if any.

        Returns:
            The discriminator.
        """

        def train(store):
            network = self._build_generator(name)
            discriminator = self._build_discriminator(name)
            for built, source in (
                (network, start),
                (discriminator, start_discriminator),
            ):
                if source is not None:
                    built.set_weights(source.get_weights())
            self._prepare(name, network, discriminator)
            learner = TranslatorTrainer(
                generator=network,
                discriminator=discriminator,
                method=self._study.training,
            )
            steps = epochs * self._source.steps_per_epoch
            record = self._fit(learner, learner.sides(steps), name, epochs, store)
            return _join(network, discriminator), {**record, "name": "stargan"}

        joined = self._train_once(name, "stargan", train, epochs)
        self.networks[name] = joined.get_layer("generator")
        return joined.get_layer("discriminator")

    def _train_section(self):
        """Trains the student's section on the teacher's."""
        part, name = self._study.lit, "student_lit"

        def train(store):
            network = self._build_generator(name)
            self._prepare(name, network)
            learner = SectionTrainer(
                teacher=self.networks["teacher"], student=network, method=LIT()
            )
            steps = part.epochs * self._source.steps_per_epoch
            sides = learner.sides(part.learning_rate, steps)
            record = self._fit(learner, sides, name, part.epochs, store)
            # LIT froze stem and head; the second stage trains them.
            trainer.thaw(network)
            return network, {**record, "name": "lit"}

        self.networks[name] = self._train_once(name, "lit", train, part.epochs)

    def _train_once(self, name, method, train, epochs):
        title = f"{name} ({method}), seed {self._seed}"
        network, record = stages.train_once(
            name, title, self._folder, train, epochs=epochs
        )
        self.records.append(record)
        return network

    def _build_generator(self, name):
        """An untrained generator; student and control have the same initial weights."""
        role = "teacher" if name == "teacher" else "student"
        part: ResidualTranslator = getattr(self._study, role)
        # The role, not the name: it decides the seed of the weights.
        return self._build(part, role)

    def _build_discriminator(self, name):
        """An untrained discriminator, with the same initial weights for all models."""
        return self._build(self._study.discriminator, "discriminator")

    def _build(self, part, role):
        keras.utils.set_random_seed(seeds.seed_of(self._seed, role, "weights"))
        shape = self._study.data
        return part.build(shape.input_shape, shape.num_classes)

    def _prepare(self, name, *networks):
        """Checks memory and sets the seed of the training's draws."""
        for network in networks:
            memory.check(network, self._study.batch_size)
        # After building: draws then do not depend on which weights were initialized.
        keras.utils.set_random_seed(seeds.seed_of(self._seed, name))

    def _fit(self, learner, sides, name, epochs, store):
        learner.compile(optimizer=sides, jit_compile=jit_compile())
        log_dir = self._folder / "tensorboard" / name
        network = getattr(learner, "student", None) or learner.generator
        record = fit.fit(
            learner,
            self._source,
            epochs=epochs,
            store=store,
            callbacks=lambda past: tensorboard.callbacks(
                log_dir,
                self._source.batch_size,
                past,
                {"images/generated": lambda: translation.samples(network, self._train)},
            ),
        )
        return {"model": name, **record}


def _join(network, discriminator):
    """Generator and discriminator as one model, so that one file holds both."""
    inputs = keras.Input(network.input.shape[1:], name="given")
    examples = keras.Input(discriminator.input.shape[1:], name="examples")
    outputs = [network(inputs)["images"], discriminator(examples)["score"]]
    return keras.Model([inputs, examples], outputs, name="pair")
