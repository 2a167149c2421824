"""The `keras.Model`s that train a generator from images to images, or its section."""

import keras
from keras import ops

from gan import gradients, translators
from trainers.generators.generator import GeneratorTrainer
from trainers.lit.lit import LIT
from trainers.methods.supervised import Step
from trainers.tracking import Tracked


class TranslatorTrainer(GeneratorTrainer):
    """Trains translator and discriminator in one step and one loss.

    As `GeneratorTrainer`, but what is made is made of the real images, each to the
    class of another image of the batch, and then made back into itself.

    Args:
        generator: Under the contract of `gan.translators`. Use it afterwards.
        discriminator: Under the contract of `gan.conditional`.
        method: A `trainers.generators.stargan.StarGAN`.

    Source:
        Choi et al., "StarGAN", CVPR 2018, section 3.1.
    """

    def sides(self, steps: int):
        """What to compile with: an Adam for each side, whose rates fall.

        Args:
            steps: Of the whole training.
        """
        method = self.method
        every = method.discriminator_steps
        return self._adams(
            # Keras counts batches here, also where several make an update.
            LateDecay(method.generator_learning_rate, steps),
            LateDecay(method.discriminator_learning_rate, steps),
            # Keras takes no 1 here.
            gradient_accumulation_steps=every if every > 1 else None,
        )

    def _terms(self, x, y, y_pred, training):
        method = self.method
        wanted = keras.random.shuffle(y, seed=self.draws)
        made = translate(self.generator, x, wanted, training)
        told, fooled = self._judged(made, training)
        terms = self._discriminator_terms(x, y, y_pred, told)
        if method.gradient_penalty:
            terms["penalty_loss"] = method.gradient_penalty * gradients.length_penalty(
                lambda between: self._score(between[0]),
                [x],
                [ops.stop_gradient(made)],
                self.draws,
            )
        terms |= self._generator_terms(wanted, fooled)
        if method.reconstruction_weight:
            back = translate(self.generator, made, y, training)
            terms["reconstruction_loss"] = (
                method.reconstruction_weight * reconstruction_loss(x, back)
            )
        return terms


class SectionTrainer(Tracked):
    """Trains the section of a student alone to be the map of the teacher's.

    The student gets the teacher's stem and head, frozen, and its section is fed what
    the teacher's stem makes of images and classes of other images of the batch.

    Args:
        teacher: A trained network under the contract of `gan.translators`. Frozen
            here.
        student: Another, of equal representations. Use it afterwards.
        method: The LIT, whose section losses alone count: there are no logits.

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
        # Once on a blank image, so that all metrics are there before `self` is built.
        *size, channels = teacher.output["images"].shape[1:]
        self.compute_loss(ops.zeros((1, *size, channels)), ops.zeros((1,), "int32"))
        for tracker in self.trackers.values():
            tracker.reset_state()

    @property
    def moving_variables(self) -> list[keras.Variable]:
        """All that training may change: everything but the teacher's variables."""
        known = {id(variable) for variable in self.teacher.variables}
        return [variable for variable in self.variables if id(variable) not in known]

    def sides(self, rate: float, steps: int) -> keras.optimizers.Optimizer:
        """What to compile with.

        Args:
            rate: Of the first step.
            steps: Of the whole training.
        """
        return keras.optimizers.Adam(LateDecay(rate, steps), name="optimizer")

    def call(self, x, training=None):
        """The images as they are: what is made of them, the loss asks for."""
        return x

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """The loss of the section, on images `x` of the classes `y`."""
        y = ops.cast(y, "int32")
        given = _given(self.teacher, x, keras.random.shuffle(y, seed=self.draws))
        taught = self.teacher(given, training=False)
        step = Step(x, y, taught, {}, training)
        made = self.method.made(self, step)
        terms = self.method.section_terms(self, step, made)
        for name, per_example in terms.items():
            terms[name] = ops.mean(per_example)
            self.track(name, terms[name])
        return sum(terms.values())


@keras.saving.register_keras_serializable("distill")
class LateDecay(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that stays for half of the steps, then falls linearly to 0.

    Args:
        rate: Of the first half.
        steps: All there are.
    """

    def __init__(self, rate: float, steps: int):
        super().__init__()
        self.rate = rate
        self.steps = steps

    def __call__(self, step):
        """The rate of a step."""
        left = 1 - ops.cast(step, "float32") / self.steps
        return self.rate * ops.clip(2 * left, 0.0, 1.0)

    def get_config(self):
        """What makes another of the same."""
        return {"rate": self.rate, "steps": self.steps}


def translate(network: keras.Model, images, labels, training: bool):
    """What a translator makes of images, `(batch, height, width, channels)`.

    Args:
        network: Under the contract of `gan.translators`.
        images: In [0, 1], of the shape that is returned.
        labels: The wanted classes, int, `(batch,)`.
        training: Whether this is a training step.
    """
    return network(_given(network, images, labels), training=training)["images"]


def reconstruction_loss(images, back):
    """Mean absolute difference, on a scale of pixels in [-1, 1], as the source's are.

    Args:
        images: In [0, 1], `(batch, height, width, channels)`.
        back: What was made of them and back again, likewise.

    Returns:
        Shape `(batch,)`, in [0, 2].

    Source:
        Choi et al., "StarGAN", CVPR 2018, equation 4.
    """
    return 2 * ops.mean(ops.abs(images - back), axis=(1, 2, 3))


def _given(network, images, labels):
    """The input of a translator, which knows how many classes there are."""
    classes = network.input.shape[-1] - images.shape[-1]
    return translators.add_class_planes(images, labels, classes)
