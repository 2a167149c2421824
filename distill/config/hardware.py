"""What a run computes with: devices, precision, and how steps are put together.

Nothing here imports Keras: `distill.teach.hardware` does what is asked.
"""

import dataclasses
from typing import Literal

from distill.runtime.errors import check


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hardware:
    """How a run is computed. Its outcome stays the same up to rounding, or says so.

    Attributes:
        strategy: `one_device`; `mirrored`, all devices of one machine, on TensorFlow;
            `data_parallel`, all devices of one or more processes, on JAX; `tpu`, the
            same, and nothing but TPUs will do; `auto`: all accelerators that this
            backend and this run can share, else one device. Every device gets the
            same number of each batch's examples.
        precision: Of layers while they train, the teacher's too; weights, losses and
            every file stay float32.
        steps_per_execution: Training steps between two looks at the numbers; divides
            the steps of an epoch.
        gradient_accumulation: Batches whose mean gradient makes one update.
        onednn: Whether TensorFlow takes oneDNN's kernels on a processor; `auto`: as it
            does by itself. Last bits differ.
        jit: Whether steps are compiled by XLA: `auto` on JAX alone, where `false` is
            for debugging on one device.
    """

    strategy: Literal["auto", "one_device", "mirrored", "data_parallel", "tpu"] = "auto"
    precision: Literal["float32", "mixed_bfloat16"] = "float32"
    steps_per_execution: int = 1
    gradient_accumulation: int = 1
    onednn: Literal["auto", "true", "false"] = "auto"
    jit: Literal["auto", "true", "false"] = "auto"

    def __post_init__(self):
        """Refuses numbers without a meaning."""
        for name in ("steps_per_execution", "gradient_accumulation"):
            value = getattr(self, name)
            check(value >= 1, name, "at least 1", value)
        check(
            self.jit != "false" or self.strategy not in ("data_parallel", "tpu"),
            "jit",
            f"auto or true with `strategy: {self.strategy}`",
            self.jit,
        )

    @property
    def decides(self) -> str:
        """What of this changes a trained network by more than rounding."""
        return f"{self.precision} {self.gradient_accumulation}"
