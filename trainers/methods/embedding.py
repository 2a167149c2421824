"""Embedding: imitate any features of a teacher through projectors, without labels."""

import dataclasses
import math
from typing import Any, ClassVar

from trainers.methods.representations import linear, pooled, section_names
from trainers.methods.supervised import Supervised


@dataclasses.dataclass(frozen=True, kw_only=True)
class Embedding(Supervised):
    """Compares the student's last representation with a teacher's features.

    No labels and no classes take part, so that it is a stage before one with labels.
    The teacher's features are any of its outputs, of any width, such as those of a
    foundation model. The student's are mapped to that width by a linear projector,
    which is trained with it: its last representation, averaged over positions, for the
    embedding, and its map, at each position, for the patches. A map of another size
    than the teacher's is resized to it bilinearly.

    Attributes:
        embedding_weight: Multiplies the loss of the pooled features.
        embedding: Name of the teacher's output that has them, a vector, or a map or
            tokens that are averaged. Absent, its last section.
        patch_weight: Multiplies the loss of the patches' features.
        patches: Name of the teacher's output that has them: a map `(rows, columns,
            channels)`, or the tokens `(patches, channels)` of a square image, row by
            row. Absent, its last section.
        leading_tokens: Number of tokens before those of the patches, such as 1 for a
            class token. They do not count in a mean, either.
        smooth_l1_share: Share of the smooth L1 distance in both losses. The rest of
            it is 1 - cosine, which leaves the length of a feature open.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        Ranzinger et al., "AM-RADIO: Agglomerative Vision Foundation Model", CVPR 2024,
        section 3: cosines of the pooled features; for the patches 0.9 of the cosine
        and 0.1 of smooth L1. https://arxiv.org/abs/2312.06709. There one head for each
        teacher has two layers; here it is linear.
    """

    only_with: ClassVar[dict[str, str]] = {
        "embedding": "embedding_weight",
        "patches": "patch_weight",
        "leading_tokens": "embedding_weight or patch_weight",
        "smooth_l1_share": "embedding_weight or patch_weight",
    }
    task_weight: ClassVar[float] = 0.0
    needs_teacher: ClassVar[bool] = True
    needs_logits: ClassVar[bool] = False
    teaches_copies: ClassVar[bool] = True  # The projectors have to learn.

    embedding_weight: float = 1.0
    embedding: str | None = None
    patch_weight: float = 0.0
    patches: str | None = None
    leading_tokens: int = 0
    smooth_l1_share: float = 0.0

    def __post_init__(self):
        """Refuses a share and a number of tokens that are out of range."""
        super().__post_init__()
        if not 0 <= self.smooth_l1_share <= 1:
            raise ValueError(
                f"`smooth_l1_share` must be in [0, 1]. Received: {self.smooth_l1_share}"
            )
        if self.leading_tokens < 0:
            raise ValueError(
                f"`leading_tokens` must be at least 0. Received: {self.leading_tokens}"
            )

    def check_shapes(self, teacher, student):
        """The teacher must have the named outputs, the student a last section."""
        if not section_names(student):
            raise ValueError(
                "Embedding needs a student with a section, whose output is compared. "
                f"Received: {', '.join(student) or 'none'}"
            )
        compared = self._compared(teacher)
        for option, name in compared.items():
            if name not in teacher:
                raise ValueError(
                    f"`{option}` must be an output of the teacher: "
                    f"{', '.join(teacher) or 'it has none but the logits'}. "
                    f"Received: {name}"
                )
            if not 1 <= len(teacher[name]) <= 3:
                raise ValueError(
                    f"`{option}` must be a vector, tokens or a map for each example. "
                    f"Received: {name} of shape {teacher[name]}"
                )
        shapes = {option: teacher[name] for option, name in compared.items()}
        self._check_tokens(shapes)
        if "patches" in shapes:
            self._check_patches(shapes["patches"], student[section_names(student)[-1]])

    def _check_tokens(self, shapes):
        if self.leading_tokens and 2 not in map(len, shapes.values()):
            raise ValueError(
                "`leading_tokens` must be 0 where the teacher has no tokens. "
                f"Received: {self.leading_tokens}, and features of shape "
                f"{', '.join(map(str, shapes.values()))}"
            )
        for shape in shapes.values():
            if len(shape) == 2 and shape[0] <= self.leading_tokens:
                raise ValueError(
                    f"`leading_tokens` must be fewer than the teacher's {shape[0]} "
                    f"tokens. Received: {self.leading_tokens}"
                )

    def _check_patches(self, theirs, ours):
        if len(ours) != 3:
            raise ValueError(
                "`patch_weight` must be 0 for a student without a map of positions in "
                f"two directions. Received: {self.patch_weight}, and a last section of "
                f"shape {ours}"
            )
        count = theirs[0] - self.leading_tokens
        if len(theirs) == 3 or (len(theirs) == 2 and math.isqrt(count) ** 2 == count):
            return
        raise ValueError(
            "`patches` must be a map, or tokens whose number, less `leading_tokens`, "
            f"is a square. Received: shape {theirs}, {self.leading_tokens} leading ones"
        )

    def asks(self, teacher, student):
        """The outputs that are compared."""
        return tuple(dict.fromkeys(self._compared(teacher).values()))

    def _compared(self, teacher) -> dict[str, str]:
        """`embedding` and `patches`, as far as they count, to the teacher's outputs."""
        last = (section_names(teacher) or ["none"])[-1]
        names = {
            "embedding": (self.embedding_weight, self.embedding),
            "patches": (self.patch_weight, self.patches),
        }
        return {key: name or last for key, (weight, name) in names.items() if weight}

    def companions(self, teacher, student):
        """A projector for the embedding, and one for the patches."""
        shape = student.output[section_names(student.output)[-1]].shape[1:]
        inputs = {"embedding": shape[-1:], "patches": (None, None, shape[-1])}
        return {
            f"{option}_projector": linear(
                f"{option}_projector", inputs[option], teacher.output[name].shape[-1]
            )
            for option, name in self._compared(teacher.output).items()
        }

    def terms(self, trainer, step):
        """`embedding_loss` and `patch_loss`, of those that count."""
        from keras import ops

        learned = step.learned[section_names(step.learned)[-1]]
        compared, terms = self._compared(step.taught), {}
        if "embedding" in compared:
            taught = pooled(self._patches(step.taught[compared["embedding"]]))
            mapped = trainer.companions["embedding_projector"](pooled(learned))
            loss = self._distance(taught, mapped)
            terms["embedding_loss"] = self.embedding_weight * loss
        if "patches" in compared:
            taught = self._patches(step.taught[compared["patches"]])
            if len(taught.shape) == 3:  # Tokens, row by row.
                side = math.isqrt(taught.shape[1])
                taught = ops.reshape(taught, (-1, side, side, taught.shape[-1]))
            size = taught.shape[1:3]
            if size != learned.shape[1:3]:
                learned = ops.image.resize(
                    learned, size, "bilinear", data_format="channels_last"
                )
            mapped = trainer.companions["patches_projector"](learned)
            terms["patch_loss"] = self.patch_weight * self._distance(taught, mapped)
        return terms

    def _patches(self, features: Any) -> Any:
        """The teacher's features without leading tokens, if they are tokens."""
        is_tokens = len(features.shape) == 3
        return features[:, self.leading_tokens :] if is_tokens else features

    def _distance(self, taught, mapped):
        """Of features `(batch, ..., channels)`, shape `(batch,)`."""
        from keras import ops

        from trainers.losses import response

        loss = (1 - self.smooth_l1_share) * response.cosine_loss(taught, mapped)
        if self.smooth_l1_share:
            error = response.huber(taught, mapped)
            axes = tuple(range(1, len(error.shape)))
            loss += self.smooth_l1_share * ops.mean(error, axis=axes)
        return loss
