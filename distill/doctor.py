"""Says before any training which files a student can become, and what is in the way."""

import argparse
import collections
import json
import pathlib
from collections.abc import Sequence

from absl.flags import argparse_flags

from distill import config
from distill.compress import finishers
from distill.config import finishing
from distill.run import parent
from distill.runtime import errors, formats
from distill.runtime.process import command
from distill.runtime.trust import loader

# Class of a layer to what helps where it is refused.
_CURES = {
    "Activation": "take ReLU",
    "BatchNormalization": "put the norm straight behind a convolution or Dense",
}
_AUTO = "leave `engine` at `auto`"
_ELSE = "take another layer, or finishers that ask nothing of it: {free}"


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m distill.doctor --model FILE.keras`, or `--config FILE`."""
    flags = argparse_flags.ArgumentParser(
        prog="python -m distill.doctor",
        description="Says before any training which layers of a student can be "
        "pruned, clustered and quantized, and by what, which files can be made, and "
        "how large.",
    )
    flags.add_argument("--model", type=pathlib.Path, help="a student, a .keras file")
    flags.add_argument(
        "--config",
        help="of distill.train or distill.finish: its finishers and, without --model, "
        "its student, untrained if it has yet to be trained",
    )
    command.add_set_flag(flags)
    flags.add_argument("--json", action="store_true", help="print JSON, no tables")
    return command.run_command(_command, flags, argv)


def _command(arguments: argparse.Namespace) -> int:
    if arguments.model is None and arguments.config is None:
        raise errors.ConfigError("give --model, a .keras file, or --config, or both")
    run, path = _read(arguments)
    parts = run.finish if run else ()
    parts = parts or [kind() for kind in finishers.FINISHERS.values()]
    found = examine(_network(run, path), parts)
    print(json.dumps(found, indent=1) if arguments.json else tables(found))
    return errors.EXIT_FAILED if any(file["blocked"] for file in found["files"]) else 0


def _read(arguments):
    """The config, if there is one; and the file of the model, if there is one."""
    if arguments.config is None:
        return None, arguments.model
    kind, given = finishing.config_class(arguments.config), arguments.model
    overrides = list(arguments.set)
    if given is not None and kind is finishing.Finishing:
        overrides.append(f"model={json.dumps(str(given))}")
    run = config.read(kind, arguments.config, overrides)
    named = getattr(run, "model", None)
    return run, given or (pathlib.Path(named).expanduser() if named else None)


def _network(run, path):
    if path is None:
        from distill import networks

        return networks.build("student", run)
    if not path.exists():
        raise errors.ConfigError(f"--model: no such file: {path}")
    return loader.open_foreign(path)


def examine(network, parts: Sequence[finishers.Finisher]) -> dict:
    """What can be made of a network; it need not be trained.

    Args:
        network: A built functional `keras.Model`.
        parts: The finishers that are wanted.

    Returns:
        As `distill.finish.diagnose`, and besides: `float_share`, shares of
        `macs` and `bytes` in [0, 1] of the layers that quantization refuses;
        `files`, one mapping a finisher: `name`, `predicted_bytes`, `engine`, what
        quantizes it in training, or None, `blocked`, name of each layer in the way
        (`twin` or `model` where it is no single one) to the reason; `advice`, what
        to change, one line each.
    """
    from distill.measure import cost

    found = parent.diagnose(network)
    counted = cost.count(network)
    blocked: dict[str, dict[str, str]] = {}
    for part in parts:
        own = part.blocked(found)
        before = [blocked.get(name, {}) for name in part.needs]
        blocked[config.name_of(part)] = dict(collections.ChainMap(own, *before))
    by_name = {config.name_of(part): part for part in parts}
    files = [
        {
            "name": config.name_of(part),
            "predicted_bytes": part.predicted_bytes(counted, by_name),
            "engine": _engine(part, found),
            "blocked": blocked[config.name_of(part)],
        }
        for part in parts
    ]
    refused = [layer for layer in found["layers"] if layer["quantize"]]
    share = {
        key: sum(layer[key] for layer in refused)
        / (sum(layer[key] for layer in found["layers"]) or 1)
        for key in ("macs", "bytes")
    }
    return {
        **found,
        "float_share": share,
        "files": files,
        "advice": _advice(found, files),
    }


def _engine(part, found):
    """What would quantize for a finisher; None for one that does not train so."""
    chosen = getattr(part, "engine", None)
    return found["engine"] if chosen == "auto" else chosen


def _advice(found, files):
    blocking = {name for file in files for name in file["blocked"]}
    tfmot = {name for f in files if f["engine"] == "tfmot" for name in f["blocked"]}
    free = ", ".join(
        name for name, kind in finishers.FINISHERS.items() if not kind.asks
    )
    cures: dict[str, list[str]] = {}
    for layer in found["layers"]:
        if layer["name"] in blocking:
            cure = _CURES.get(layer["kind"], _ELSE.format(free=free))
            if layer["name"] in tfmot and layer["tfmot"] and not layer["keras"]:
                cure = _AUTO
            cures.setdefault(cure, []).append(layer["name"])
    if found["twin"]:
        cures[_ELSE.format(free=free)] = list(found["twin"])
    return [f"{_named(names)}: {cure}" for cure, names in cures.items()]


def _named(names):
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(name if name[0] == "`" else f"`{name}`" for name in names[:3]) + (
        more
    )


def tables(found: dict) -> str:
    """What `examine` found, for the console."""
    ways = ("prune", "cluster", "quantize")
    rows = [
        [
            layer["name"],
            layer["kind"],
            f"{layer['macs']:,}",
            f"{layer['bytes']:,}",
            *(_mark(layer, way) for way in ways),
        ]
        for layer in found["layers"]
        if layer["kernels"] or layer["rewritten"] or any(map(layer.get, _ASKED))
    ]
    files = [
        [
            f"student.{file['name']}.tflite",
            f"{file['predicted_bytes']:,}",
            file["engine"] or "",
            f"no: {_named(list(file['blocked']))}" if file["blocked"] else "yes",
        ]
        for file in found["files"]
    ]
    share = found["float_share"]
    lines = [
        formats.table(rows, ["layer", "class", "MACs", "bytes", *ways]) if rows else "",
        formats.table(files, ["file", "bytes, predicted", "engine", "can be made"]),
        f"quantize: {100 * share['macs']:.1f} % of the MACs and "
        f"{100 * share['bytes']:.1f} % of the bytes would stay float",
        *_passed_over(found),
        *(f"{name}: {why}" for name, why in _reasons(found).items()),
        *(f"change: {line}" for line in found["advice"]),
    ]
    return "\n".join(filter(None, lines))


_ASKED = ("prune", "cluster", "tfmot", "keras")


def _passed_over(found):
    """Why it is our own engine that quantizes, where it is."""
    refused = [layer["name"] for layer in found["layers"] if layer["tfmot"]]
    if found["engine"] == "keras" and refused:
        yield f"quantize: engine keras; TF-MOT refuses {_named(refused)}"


def _mark(layer, way):
    if way == "quantize":
        able = [engine for engine in ("tfmot", "keras") if not layer[engine]]
        if len(able) == 2:
            return "rewritten" if layer["rewritten"] else "yes"
        return able[0] if able else "no"
    if layer[way]:
        return "no"
    return "yes" if layer["kernels"] else ""


def _reasons(found):
    """Each reason once, behind the layers that it holds for."""
    reasons: dict[str, list[str]] = {}
    for file in found["files"]:
        for name, why in file["blocked"].items():
            names = reasons.setdefault(why, [])
            names += [] if name in names else [name]
    return {_named(names): why for why, names in reasons.items()}


if __name__ == "__main__":
    raise SystemExit(main())
