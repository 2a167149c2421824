"""The `keras.Model` that trains a generator against a discriminator."""

import keras
from keras import ops

from gan import gradients, losses
from trainers.generators.acgan import ACGAN
from trainers.optimizer import Sides
from trainers.tracking import Tracked, replicas

BETA = 0.5  # Adam's first: a short memory, since the other side moves.


class GeneratorTrainer(Tracked):
    """Trains generator and discriminator in one step and one loss.

    The discriminator's part of the loss sees what is made as constants, the
    generator's part sees the discriminator's weights as constants, so that each
    side's gradient is its own. Made are as many as there are real ones, of the
    same classes: the classes' shares are the data's.

    Args:
        generator: Under the contract of `gan.generators`. Use it afterwards.
        discriminator: Under the contract of `gan.conditional`.
        method: The options.
    """

    def __init__(
        self,
        *,
        generator: keras.Model,
        discriminator: keras.Model,
        method: ACGAN,
    ):
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator
        self.method = method
        self.draws = keras.random.SeedGenerator()
        real = ops.zeros((1, *discriminator.input_shape[1:]))
        # Once on a blank example, so that all metrics are there before `self` is built.
        label = ops.zeros((1,), "int32")
        self.compute_loss(real, label, discriminator(real), training=False)
        for tracker in self.trackers.values():
            tracker.reset_state()

    @property
    def moving_variables(self) -> list[keras.Variable]:
        """All that training may change."""
        return self.variables

    def sides(self) -> Sides:
        """What to compile with: an Adam for each side."""
        method = self.method
        return self._adams(
            method.generator_learning_rate, method.discriminator_learning_rate
        )

    def _adams(self, generator_rate, discriminator_rate, **options):
        """The optimizers at these rates; `options` are the generator's."""
        if self.method.average:
            options |= {"use_ema": True, "ema_momentum": self.method.average}
        return Sides(
            keras.optimizers.Adam(
                generator_rate, beta_1=BETA, name="generator", **options
            ),
            {
                "discriminator": keras.optimizers.Adam(
                    discriminator_rate, beta_1=BETA, name="against"
                )
            },
            {"discriminator": self.discriminator.trainable_variables},
            name="generator",
        )

    def call(self, x, training=None):
        """What the discriminator says to examples `(batch, ...)`."""
        return self.discriminator(x, training=training)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """The loss of both sides, for real examples `x` of the classes `y`.

        The named losses sum up to it. Each batch's noise comes from `draws`.
        """
        # Run eagerly, Keras hands arrays on, of which no gradient can be asked.
        x = ops.convert_to_tensor(x)
        terms = self._terms(x, ops.cast(y, "int32"), y_pred, training)
        for name, per_example in terms.items():
            terms[name] = ops.mean(ops.cast(per_example, "float32"))
            self.track(name, terms[name])
        return sum(terms.values()) / replicas()

    def _terms(self, x, y, y_pred, training):
        """The terms of both sides, one number an example."""
        length = self.generator.input["noise"].shape[-1]
        noise = keras.random.normal((ops.shape(x)[0], length), seed=self.draws)
        made = self.generator({"noise": noise, "label": y}, training=training)
        told, fooled = self._judged(made, training)
        return self._discriminator_terms(x, y, y_pred, told) | self._generator_terms(
            y, fooled
        )

    def _judged(self, made, training):
        """Answers to what is made: to move the discriminator by, and to move by it."""
        told = self.discriminator(ops.stop_gradient(made), training=training)
        return told, gradients.frozen(self.discriminator, made, training)

    def _discriminator_terms(self, x, y, real, made):
        """Moves the discriminator alone: nothing here depends on the generator."""
        method = self.method
        middle = losses.middle(real["score"], made["score"], method.loss)
        self.track("accuracy_on_real", ops.cast(real["score"] > middle, "float32"))
        self.track("accuracy_on_made", ops.cast(made["score"] <= middle, "float32"))
        self.track("class_accuracy", _right(y, real))
        classes = _entropy(y, real)
        if method.classifies_made:
            classes += _entropy(y, made)
        terms = {
            "real_loss": losses.real_loss(
                real["score"], method.loss, method.label_smoothing
            ),
            "made_loss": losses.fake_loss(made["score"], method.loss),
            "class_loss": method.class_weight * classes,
        }
        if method.r1:
            _, slopes = gradients.with_gradient(self._score, x)
            terms["r1_loss"] = method.r1 / 2 * gradients.squared_norm(slopes)
        return terms

    def _score(self, given):
        """Of one batch, without dropout: a penalty is on the network as it is."""
        return self.discriminator(given, training=False)["score"]

    def _generator_terms(self, y, made):
        """Moves the generator alone: the discriminator's weights are constants."""
        self.track("made_class_accuracy", _right(y, made))
        return {
            "fooling_loss": losses.fooling_loss(made["score"], self.method.loss),
            "made_class_loss": self.method.class_weight * _entropy(y, made),
        }


def _entropy(labels, answers):
    """Cross-entropy of the auxiliary classifier, shape `(batch,)`, in nats."""
    return keras.losses.sparse_categorical_crossentropy(
        labels, answers["logits"], from_logits=True
    )


def _right(labels, answers):
    return ops.cast(ops.argmax(answers["logits"], axis=-1) == labels, "float32")
