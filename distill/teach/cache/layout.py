"""How kept answers lie on the disk."""

import dataclasses
from collections.abc import Mapping

import numpy as np

import trainers
from distill.config import cache, lessons
from distill.runtime.errors import ConfigError

_LOGITS = ("logits", "co_logits")


@dataclasses.dataclass(frozen=True)
class Layout:
    """How the answers to one example lie in a file, one example after the other.

    Attributes:
        options: Of the cache.
        shapes: Name and shape of each output of the teacher, of one example.
        temperature: At which `top_k` keeps the softened classes; else None.
    """

    options: cache.Cache
    shapes: tuple[tuple[str, tuple[int, ...]], ...]
    temperature: float | None

    @property
    def names(self) -> list[str]:
        """Of the outputs."""
        return [name for name, _ in self.shapes]

    @property
    def dtype(self) -> np.dtype:
        """Of one example."""
        fields: list[tuple] = []
        for name, shape in self.shapes:
            kind = "float32" if name == "co_weights" else self.options.precision
            if not self._is_cut(name):
                fields.append((name, kind, shape))
                continue
            kept = (*shape[:-1], self.options.top_k)
            index = np.min_scalar_type(shape[-1])
            fields += [
                (f"{name}.classes", index, kept),
                (f"{name}.likeliest", kind, kept),
            ]
            fields.append((f"{name}.others", kind, shape[:-1]))
        return np.dtype(fields)

    def pack(self, said: Mapping[str, np.ndarray]) -> np.ndarray:
        """Answers as they are kept.

        Of logits with `top_k`, those of the likeliest classes, and one number more,
        which all other classes get when they are read: the one with which they have,
        at the method's temperature, together the probability that they had. So the
        likeliest classes keep theirs, and what is lost is how the others share the
        rest: evenly.

        Args:
            said: Name of each output to the teacher's, float32, `(n, ...)`.

        Returns:
            Of `dtype`, shape `(n,)`.

        Raises:
            ConfigError: If a number is too large for `precision`.
        """
        packed = np.empty(len(said[self.names[0]]), self.dtype)
        for name in self.names:
            parts = {name: said[name]}
            if self._is_cut(name):
                parts = self._cut(name, said[name])
            for part, values in parts.items():
                self._check_range(name, values, packed[part].dtype)
                packed[part] = values
        return packed

    def unpack(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Answers as a method sees them: the reverse of `pack`.

        Args:
            rows: Of `dtype`, shape `(n,)`.
        """
        said = {}
        for name, shape in self.shapes:
            if not self._is_cut(name):
                said[name] = np.ascontiguousarray(rows[name])
                continue
            others = rows[f"{name}.others"][..., None]
            whole = np.repeat(others, shape[-1], axis=-1)
            index = rows[f"{name}.classes"].astype(np.int64)
            np.put_along_axis(whole, index, rows[f"{name}.likeliest"], axis=-1)
            said[name] = whole
        return said

    def _is_cut(self, name):
        return self.options.top_k is not None and name in _LOGITS

    def _cut(self, name, logits):
        count = self.options.top_k
        order = np.argsort(-logits, axis=-1, kind="stable")
        first, rest = order[..., :count], order[..., count:]
        softened = np.take_along_axis(logits, rest, -1).astype(float) / self.temperature
        most = softened.max(axis=-1, keepdims=True)
        mean = np.log(np.mean(np.exp(softened - most), axis=-1)) + most[..., 0]
        return {
            f"{name}.classes": first,
            f"{name}.likeliest": np.take_along_axis(logits, first, -1),
            f"{name}.others": self.temperature * mean,
        }

    def _check_range(self, name, values, dtype):
        if dtype != np.float16:
            return
        most, limit = np.abs(values).max(), np.finfo(dtype).max
        if np.isfinite(most) and most > limit:
            raise ConfigError(
                f"`teacher.cache.precision` must be float32: the teacher's `{name}` "
                f"reaches {most:.3g}. Received: float16, which ends at {limit:.0f}"
            )


def layout(
    options: cache.Cache,
    num_classes: int,
    method: trainers.Supervised,
    teacher: lessons.Shapes,
    student: lessons.Shapes,
    co_teachers: int,
) -> Layout:
    """How the answers that a method asks for are kept.

    Args:
        options: How the answers are kept.
        num_classes: Of the data.
        method: The method.
        teacher: Name of each representation to its shape, in order.
        student: The same for the student.
        co_teachers: How many answer beside the teacher.
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
