"""Compares measured speed with the peak of a card."""

import re
import shutil
import statistics
import subprocess

from distill.studies.speed.peers import worker

# Part of the driver's name to TFLOP/s of dense products, from the maker's data sheets:
# in bfloat16, and in TF32, which both frameworks use for convolutions in float32.
PEAKS = {
    "H100 PCIe": (756, 378),
    "H100 NVL": (835, 418),
    "H200 NVL": (835, 418),
    "H100": (989, 494),
    "H200": (989, 494),
    "A100": (312, 156),
    "L4": (121, 60),
}
PRECISIONS = {"mixed_bfloat16": 0, "float32": 1}  # To the index in a row of `PEAKS`.


def peaks(card: str | None) -> tuple[float, float] | None:
    """TFLOP/s of a card in bfloat16 and in float32; None for an unknown card."""
    for name, speeds in PEAKS.items():
        # Longer names first, as `PEAKS` has them: "H100" is also in "H100 PCIe".
        if card is not None and re.search(rf"\b{name}\b", card):
            return speeds
    return None


def flops(name: str, costs: dict, batch_size: int) -> float:
    """Floating-point operations of a step: two for a multiply-accumulate of a kernel.

    The teacher has one forward pass. The student has a forward pass and a backward
    pass, which costs twice as much; for LIT both again, section by section.

    Args:
        name: Name of the method.
        costs: The `macs` of each role's network, for one image.
        batch_size: Number of images in a step.
    """
    passes = 2 if name == "lit" else 1
    macs = costs["teacher"]["macs"] + 3 * passes * costs["student"]["macs"]
    return 2 * batch_size * macs


def table(result: dict) -> str:
    """Formats the results for the console."""
    import tabulate

    rows, notes, packages = [], [], {}
    for cell in result["cells"]:
        what = [str(cell["batch_size"]), cell["precision"]]
        if "error" in cell:
            notes.append(f"batch of {' in '.join(what)}: {cell['error']}")
            continue
        packages |= cell["packages"] | cell["missing"]
        for method in cell["methods"]:
            work = flops(method["name"], cell["costs"], cell["batch_size"])
            for who, seconds in method["seconds"].items():
                wall = statistics.median(seconds)
                share = "unknown"
                if result["peaks"] is not None:
                    peak = 1e12 * result["peaks"][PRECISIONS[cell["precision"]]]
                    share = f"{100 * work / wall / peak:.1f} %"
                ratio = worker.format_ratio(method, "ratio", who)
                rate = f"{cell['batch_size'] / wall:.0f}"
                speed = f"{work / wall / 1e12:.3g}"
                rows.append([method["name"], *what, who, rate, ratio, speed, share])
    headers = ["method", "batch", "precision", "by", "images/s", "ours / theirs"]
    headers += ["TFLOP/s", "of the peak"]
    align = ["left", "right", "left", "left", *["right"] * 4]
    lines = [tabulate.tabulate(rows, headers, colalign=align, disable_numparse=True)]
    lines = lines if rows else []
    lines += [*notes, *(f"{who}: {what}" for who, what in packages.items())]
    return "\n".join(
        [*lines, f"card: {result['card']}", _describe_networks(result["learned"])]
    )


def _describe_networks(learned):
    """A line for each trained network, and the reason if one is missing."""
    lines = [
        f"{net['network']}: test accuracy {net['accuracy']:.2f} % after {net['steps']} "
        f"steps, {net['epochs']:.1f} epochs of {net['examples']} images, "
        f"{net['seconds']:.0f} s after the start of training{_pace(net['stages'])}"
        for net in learned["networks"]
    ]
    if learned["error"]:
        lines.append(f"no more accuracy: {learned['error']}")
    return "\n".join(lines)


def _pace(stages):
    """The speed of the first steps of each stage, if it was measured."""
    paced = [stage for stage in stages if "waiting" in stage]
    if not paced:
        return ""
    rates = ", ".join(f"{stage['images_per_second']:.0f}" for stage in paced)
    shares = ", ".join(f"{100 * stage['waiting']:.0f} %" for stage in paced)
    return f"; {rates} images/s, {shares} of the time waiting for input"


def card_name() -> str | None:
    """The driver's name of the first GPU, or None."""
    if shutil.which("nvidia-smi") is None:
        return None
    # The driver is asked, since JAX would reserve memory of the card.
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip().split("\n")[0] or None
