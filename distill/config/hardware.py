"""The hardware options of a run: devices, precision and how steps are executed.

Nothing here imports Keras: `distill.teach.hardware` applies these options.
"""

import dataclasses
from typing import ClassVar, Literal

from distill.runtime.errors import check


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hardware:
    """How a run is computed.

    Of these options, `precision` and `gradient_accumulation` change the trained
    networks; the others change them by rounding only.

    Attributes:
        strategy: `one_device`; `mirrored`, all devices of one machine, on TensorFlow;
            `data_parallel`, all devices of one or more processes, on JAX; `tpu`, like
            `data_parallel`, but on TPUs only; `auto`, all accelerators that this
            backend and this run can use together, else one device. Every batch is
            split evenly among the devices.
        precision: Computation type of the layers during training, including the
            teacher's. Weights, losses and all files stay float32. `auto` takes
            mixed_bfloat16 if training steps are at least 10 % faster in it, else
            float32. This is measured once, when the run starts, and kept in `run.yaml`.
        steps_per_execution: Training steps between two reads of the metrics; divides
            the number of steps in an epoch.
        gradient_accumulation: Number of batches whose mean gradient is one update.
        onednn: Whether TensorFlow uses oneDNN's kernels on a CPU, which changes the
            last bits of results; `auto` keeps TensorFlow's default.
        threads: In how many threads of a CPU one operation computes, on TensorFlow and
            PyTorch; at most the number of cores. Small networks are faster with 1.
            Another number changes the last bits of results; `auto` keeps the backend's
            default.
        jit: Whether training steps are compiled by XLA. `auto` compiles on JAX only,
            where `false` is meant for debugging on one device.
    """

    omitted_when_absent: ClassVar[tuple[str, ...]] = ("threads",)

    strategy: Literal["auto", "one_device", "mirrored", "data_parallel", "tpu"] = "auto"
    precision: Literal["float32", "mixed_bfloat16", "auto"] = "float32"
    steps_per_execution: int = 1
    gradient_accumulation: int = 1
    # Words instead of booleans, because `auto` is a third value. YAML's `true` fits:
    # `schema` compares the text of a scalar.
    onednn: Literal["auto", "true", "false"] = "auto"
    threads: int | Literal["auto"] = "auto"
    jit: Literal["auto", "true", "false"] = "auto"

    def __post_init__(self):
        """Refuses values out of range, and strategies that need XLA without it."""
        for name in ("steps_per_execution", "gradient_accumulation"):
            value = getattr(self, name)
            check(value >= 1, name, "at least 1", value)
        check(
            self.threads == "auto" or self.threads >= 1,
            "threads",
            "auto or at least 1",
            self.threads,
        )
        check(
            self.precision != "auto" or self.strategy != "tpu",
            "precision",
            "float32 or mixed_bfloat16 with `strategy: tpu`",
            self.precision,
        )
        check(
            self.jit != "false" or self.strategy not in ("data_parallel", "tpu"),
            "jit",
            f"auto or true with `strategy: {self.strategy}`",
            self.jit,
        )

    @property
    def decides(self) -> str:
        """The options that change a trained network by more than rounding."""
        # Part of the fingerprint of kept networks: another text would retrain them all.
        return f"{self.precision} {self.gradient_accumulation}"
