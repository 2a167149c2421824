"""An input or an output of a `.tflite` file: its type, and what its integers mean."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class End:
    """An input or an output of a file.

    Attributes:
        dtype: Such as `float32`.
        shape: Of one batch.
        scale: Of integers: the number that they stand for is
            `scale * (integer - zero_point)`; None of others.
        zero_point: Likewise.
    """

    dtype: str
    shape: tuple[int, ...]
    scale: float | None = None
    zero_point: int | None = None

    def __str__(self):
        """Type, sizes without the batch, and what an integer stands for."""
        sizes = " x ".join(map(str, self.shape[1:]))
        if self.zero_point is None:
            return f"{self.dtype} {sizes}"
        sign, zero = "+" if self.zero_point < 0 else "-", abs(self.zero_point)
        return f"{self.dtype} {sizes}, {self.scale:.6g} x (value {sign} {zero})"
