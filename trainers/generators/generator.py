"""The `keras.Model` that trains a generator against a discriminator."""

import keras
from keras import ops

from gan import gradients, losses
from trainers.generators.acgan import ACGAN
from trainers.optimizer import Sides
from trainers.tracking import Tracked, replicas

# Adam's first momentum. It is short because the opponent moves: old gradients mislead.
BETA = 0.5


class GeneratorTrainer(Tracked):
    """Trains generator and discriminator in one step and one loss.

    The discriminator's part of the loss sees generated examples as constants, the
    generator's part sees the discriminator's weights as constants, so that each
    side's gradient is its own. Each batch has as many generated examples as real ones,
    of the same classes, so that classes are as frequent as in the data.

    Args:
        generator: Under the contract of `gan.generators`. Trained in place.
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
        # One pass on a blank example, so that all metrics exist before Keras builds
        # this model.
        label = ops.zeros((1,), "int32")
        self.compute_loss(real, label, discriminator(real), training=False)
        for tracker in self.trackers.values():
            tracker.reset_state()

    @property
    def moving_variables(self) -> list[keras.Variable]:
        """All variables that training may change."""
        return self.variables

    def sides(self) -> Sides:
        """Returns the optimizer to compile with: an Adam for each side."""
        method = self.method
        return self._adams(
            method.generator_learning_rate, method.discriminator_learning_rate
        )

    def _adams(self, generator_rate, discriminator_rate, **options):
        """Builds the optimizers; `options` are for the generator's alone."""
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
        """The discriminator's outputs for examples `(batch, ...)`."""
        return self.discriminator(x, training=training)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """The loss of both sides, for real examples `x` of the classes `y`.

        It is the sum of the named losses. The noise of each batch comes from `draws`.
        """
        # In eager mode Keras passes NumPy arrays, which have no gradient for R1.
        x = ops.convert_to_tensor(x)
        terms = self._terms(x, ops.cast(y, "int32"), y_pred, training)
        return self.track_terms(terms) / replicas()

    def _terms(self, x, y, y_pred, training):
        """The terms of both sides, one number per example."""
        length = self.generator.input["noise"].shape[-1]
        noise = keras.random.normal((ops.shape(x)[0], length), seed=self.draws)
        made = self.generator({"noise": noise, "label": y}, training=training)
        detached, frozen = self._judge(made, training)
        return {
            **self._discriminator_terms(x, y, y_pred, detached),
            **self._generator_terms(y, frozen),
        }

    def _judge(self, made, training):
        """The discriminator's outputs for generated examples, twice.

        First with the examples as constants, for its own loss, then with its weights
        as constants, for the generator's loss.
        """
        detached = self.discriminator(ops.stop_gradient(made), training=training)
        return detached, gradients.frozen(self.discriminator, made, training)

    def _discriminator_terms(self, x, y, real, made):
        """The discriminator's losses; no gradient of them reaches the generator."""
        method = self.method
        middle = losses.middle(real["score"], made["score"], method.loss)
        self.track("accuracy_on_real", ops.cast(real["score"] > middle, "float32"))
        self.track("accuracy_on_made", ops.cast(made["score"] <= middle, "float32"))
        self.track("class_accuracy", _is_correct(y, real))
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

    def _score(self, examples):
        """Scores for a penalty, without dropout: it is on the network as it is used."""
        return self.discriminator(examples, training=False)["score"]

    def _generator_terms(self, y, made):
        """The generator's losses; the discriminator's weights are constants."""
        self.track("made_class_accuracy", _is_correct(y, made))
        return {
            "fooling_loss": losses.fooling_loss(made["score"], self.method.loss),
            "made_class_loss": self.method.class_weight * _entropy(y, made),
        }


def _entropy(labels, outputs):
    """Cross-entropy of the auxiliary classifier, shape `(batch,)`, in nats."""
    return keras.losses.sparse_categorical_crossentropy(
        labels, outputs["logits"], from_logits=True
    )


def _is_correct(labels, outputs):
    return ops.cast(ops.argmax(outputs["logits"], axis=-1) == labels, "float32")
