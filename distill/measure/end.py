"""An input or output of a `.tflite` file: its type, and the scale of integers."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class End:
    """An input or output of a file.

    Attributes:
        dtype: Name of the type, such as `float32`.
        shape: Shape of one batch.
        scale: For integers, which represent `scale * (integer - zero_point)`; else
            None.
        zero_point: See `scale`.
    """

    dtype: str
    shape: tuple[int, ...]
    scale: float | None = None
    zero_point: int | None = None

    def __str__(self):
        """Type, shape without the batch, and what an integer represents."""
        sizes = " x ".join(map(str, self.shape[1:]))
        if self.zero_point is None:
            return f"{self.dtype} {sizes}"
        sign, zero = "+" if self.zero_point < 0 else "-", abs(self.zero_point)
        return f"{self.dtype} {sizes}, {self.scale:.6g} x (value {sign} {zero})"
