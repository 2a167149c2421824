"""The format of cached answers on the disk."""

import dataclasses
from collections.abc import Mapping

import numpy as np

import trainers
from distill.config import cache, lessons
from distill.runtime.errors import ConfigError

_LOGITS = ("logits", "co_logits")


@dataclasses.dataclass(frozen=True)
class Layout:
    """The format of the teacher's answers to one example.

    Attributes:
        options: The options of the cache.
        shapes: Name and shape of each output of the teacher, without the batch axis.
        temperature: The temperature at which `top_k` preserves the softened
            probabilities; None without `top_k`.
    """

    options: cache.Cache
    shapes: tuple[tuple[str, tuple[int, ...]], ...]
    temperature: float | None

    @property
    def names(self) -> list[str]:
        """Names of the outputs."""
        return [name for name, _ in self.shapes]

    @property
    def dtype(self) -> np.dtype:
        """The structured type of one example's answers."""
        fields: list[tuple] = []
        for name, shape in self.shapes:
            kind = "float32" if name == "co_weights" else self.options.precision
            if not self._is_truncated(name):
                fields.append((name, kind, shape))
                continue
            top_k = (*shape[:-1], self.options.top_k)
            index = np.min_scalar_type(shape[-1])
            fields += [
                (f"{name}.classes", index, top_k),
                (f"{name}.likeliest", kind, top_k),
            ]
            fields.append((f"{name}.others", kind, shape[:-1]))
        return np.dtype(fields)

    def pack(self, answers: Mapping[str, np.ndarray]) -> np.ndarray:
        """Encodes answers as rows of `dtype`.

        With `top_k`, the logits of the likeliest classes are stored, and one logit
        for all other classes. It is chosen so that at the method's temperature the
        others together keep their probability. So the likeliest classes keep theirs
        too; only how the others share the rest is lost.

        Args:
            answers: Name of each output to its values, float32, `(n, ...)`.

        Returns:
            The rows, shape `(n,)`.

        Raises:
            ConfigError: If a number is too large for `precision`.
        """
        packed = np.empty(len(answers[self.names[0]]), self.dtype)
        for name in self.names:
            parts = {name: answers[name]}
            if self._is_truncated(name):
                parts = self._truncate(name, answers[name])
            for part, values in parts.items():
                self._check_range(name, values, packed[part].dtype)
                packed[part] = values
        return packed

    def unpack(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Decodes rows of `dtype`: the reverse of `pack`.

        Args:
            rows: The rows, shape `(n,)`.

        Returns:
            Name of each output to its values, `(n, ...)`.
        """
        answers = {}
        for name, shape in self.shapes:
            if not self._is_truncated(name):
                answers[name] = np.ascontiguousarray(rows[name])
                continue
            others = rows[f"{name}.others"][..., None]
            logits = np.repeat(others, shape[-1], axis=-1)
            index = rows[f"{name}.classes"].astype(np.int64)
            np.put_along_axis(logits, index, rows[f"{name}.likeliest"], axis=-1)
            answers[name] = logits
        return answers

    def _is_truncated(self, name):
        return self.options.top_k is not None and name in _LOGITS

    def _truncate(self, name, logits):
        count = self.options.top_k
        order = np.argsort(-logits, axis=-1, kind="stable")
        first, rest = order[..., :count], order[..., count:]
        softened = np.take_along_axis(logits, rest, -1).astype(float) / self.temperature
        # The largest is subtracted first, as in any log-sum-exp, against overflow.
        largest = softened.max(axis=-1, keepdims=True)
        mean = np.log(np.mean(np.exp(softened - largest), axis=-1)) + largest[..., 0]
        return {
            f"{name}.classes": first,
            f"{name}.likeliest": np.take_along_axis(logits, first, -1),
            f"{name}.others": self.temperature * mean,
        }

    def _check_range(self, name, values, dtype):
        if dtype != np.float16:
            return
        largest, limit = np.abs(values).max(), np.finfo(dtype).max
        if np.isfinite(largest) and largest > limit:
            raise ConfigError(
                f"`teacher.cache.precision` must be float32: the teacher's `{name}` "
                f"reaches {largest:.3g}. Received: float16, which ends at {limit:.0f}"
            )


def layout(
    options: cache.Cache,
    num_classes: int,
    method: trainers.Supervised,
    teacher: lessons.Shapes,
    student: lessons.Shapes,
    co_teachers: int,
) -> Layout:
    """The format of the answers that a method needs.

    Args:
        options: The options of the cache.
        num_classes: Number of classes.
        method: The method.
        teacher: Name of each representation of the teacher to its shape, in order.
        student: The same for the student.
        co_teachers: Number of co-teachers.
    """
    shapes = {**teacher, "logits": (num_classes,)}
    names = [*method.asks(teacher, student)]
    if co_teachers:
        shapes["co_logits"] = (co_teachers, num_classes)
        shapes["co_weights"] = (co_teachers,)
        names += ["co_logits", "co_weights"]
    return Layout(
        options,
        tuple((name, shapes[name]) for name in names),
        None if options.top_k is None else method.softens_at,
    )
