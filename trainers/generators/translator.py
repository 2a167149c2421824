"""The `keras.Model`s that train an image-to-image generator, or its section alone."""

import keras
from keras import ops

from gan import gradients, translators
from trainers.generators.generator import GeneratorTrainer
from trainers.lit.lit import LIT
from trainers.methods.supervised import Step
from trainers.tracking import Tracked


class TranslatorTrainer(GeneratorTrainer):
    """Trains translator and discriminator in one step and one loss.

    Like `GeneratorTrainer`, but the generator's input are the real images. It turns
    each into the class of another image of the batch, and then back again.

    Args:
        generator: Under the contract of `gan.translators`. Trained in place.
        discriminator: Under the contract of `gan.conditional`.
        method: A `trainers.generators.stargan.StarGAN`.

    Source:
        Choi et al., "StarGAN", CVPR 2018, section 3.1.
    """

    def sides(self, steps: int):
        """Returns the optimizer to compile with: an Adam for each side, with decay.

        Args:
            steps: Steps of the whole training.
        """
        method = self.method
        every = method.discriminator_steps
        return self._adams(
            # Keras' step counter counts batches, also where gradients accumulate.
            LateDecay(method.generator_learning_rate, steps),
            LateDecay(method.discriminator_learning_rate, steps),
            # Keras refuses 1 here and wants None.
            gradient_accumulation_steps=every if every > 1 else None,
        )

    def _terms(self, x, y, y_pred, training):
        method = self.method
        # The labels of the batch in another order: targets as frequent as in the data.
        targets = keras.random.shuffle(y, seed=self.draws)
        made = translate(self.generator, x, targets, training)
        detached, frozen = self._judge(made, training)
        terms = self._discriminator_terms(x, y, y_pred, detached)
        if method.gradient_penalty:
            terms["penalty_loss"] = method.gradient_penalty * gradients.length_penalty(
                lambda between: self._score(between[0]),
                [x],
                [ops.stop_gradient(made)],
                self.draws,
            )
        terms |= self._generator_terms(targets, frozen)
        if method.reconstruction_weight:
            restored = translate(self.generator, made, y, training)
            terms["reconstruction_loss"] = (
                method.reconstruction_weight * reconstruction_loss(x, restored)
            )
        return terms


class SectionTrainer(Tracked):
    """Trains only the student's section, to imitate the teacher's.

    The student gets the teacher's stem and head, frozen. Its section's input is the
    output of the teacher's stem for images with classes of other images of the batch.

    Args:
        teacher: A trained network under the contract of `gan.translators`. Frozen
            here.
        student: Another, with representations of equal shapes. Trained in place.
        method: The LIT. Only its section losses count, since there are no logits.

    Source:
        Koratana et al., "LIT", ICML 2019: the loss of its StarGAN, beta = 0.
    """

    def __init__(self, *, teacher: keras.Model, student: keras.Model, method: LIT):
        super().__init__()
        teacher.trainable = False
        method.prepare(teacher, student)
        self.teacher = teacher
        self.student = student
        self.method = method
        self.companions = method.companions(teacher, student)
        self.draws = keras.random.SeedGenerator()
        # One pass on a blank image, so that all metrics exist before Keras builds this
        # model.
        *size, channels = teacher.output["images"].shape[1:]
        self.compute_loss(ops.zeros((1, *size, channels)), ops.zeros((1,), "int32"))
        for tracker in self.trackers.values():
            tracker.reset_state()

    @property
    def moving_variables(self) -> list[keras.Variable]:
        """All variables that training may change: all but the teacher's."""
        frozen_ids = {id(variable) for variable in self.teacher.variables}
        return [v for v in self.variables if id(v) not in frozen_ids]

    def sides(self, rate: float, steps: int) -> keras.optimizers.Optimizer:
        """Returns the optimizer to compile with.

        Args:
            rate: Learning rate of the first step.
            steps: Steps of the whole training.
        """
        return keras.optimizers.Adam(LateDecay(rate, steps), name="optimizer")

    def call(self, x, training=None):
        """The images unchanged."""
        # Keras needs some output; `compute_loss` runs both networks itself.
        return x

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """The loss of the section, on images `x` of the classes `y`."""
        y = ops.cast(y, "int32")
        inputs = _add_planes(self.teacher, x, keras.random.shuffle(y, seed=self.draws))
        taught = self.teacher(inputs, training=False)
        step = Step(x, y, taught, {}, training)
        outputs = self.method.run_spans(self, step)
        return self.track_terms(self.method.section_terms(self, step, outputs))


@keras.saving.register_keras_serializable("distill")
class LateDecay(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that is constant for half of the steps, then falls linearly to 0.

    Args:
        rate: Rate in the first half.
        steps: Steps of the whole training.
    """

    def __init__(self, rate: float, steps: int):
        super().__init__()
        self.rate = rate
        self.steps = steps

    def __call__(self, step):
        """The rate at a step."""
        left = 1 - ops.cast(step, "float32") / self.steps
        return self.rate * ops.clip(2 * left, 0.0, 1.0)

    def get_config(self):
        """The constructor's arguments, for Keras' serialization."""
        return {"rate": self.rate, "steps": self.steps}


def translate(network: keras.Model, images, labels, training: bool):
    """Translates images `(batch, height, width, channels)` to other classes.

    Args:
        network: Under the contract of `gan.translators`.
        images: Pixels in [0, 1]; the result has the same shape.
        labels: The target classes, int, `(batch,)`.
        training: Whether this is a training step.
    """
    return network(_add_planes(network, images, labels), training=training)["images"]


def reconstruction_loss(images, restored):
    """Mean absolute difference on the source's scale, where pixels are in [-1, 1].

    Args:
        images: Pixels in [0, 1], `(batch, height, width, channels)`.
        restored: The images after translation to another class and back, likewise.

    Returns:
        Shape `(batch,)`, in [0, 2].

    Source:
        Choi et al., "StarGAN", CVPR 2018, equation 4.
    """
    # Our pixels are in [0, 1]: differences on the source's scale are twice as large.
    return 2 * ops.mean(ops.abs(images - restored), axis=(1, 2, 3))


def _add_planes(network, images, labels):
    """Appends a plane for each class to images."""
    # The translator's input tells the number of classes: channels beyond the images'.
    classes = network.input.shape[-1] - images.shape[-1]
    return translators.add_class_planes(images, labels, classes)
