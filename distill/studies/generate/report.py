"""Gathers the records of all seeds, and formats them for console and browser."""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import tabulate
import yaml

from distill import config, data
from distill.report import images
from distill.report.html import data_uri, template
from distill.runtime import formats, versions
from distill.runtime.trust import loader
from distill.studies import intervals
from distill.studies.generate import measurement, translation
from distill.studies.generate.study import Study

TITLES = {
    "teacher": "teacher",
    "student": "student",
    "student_lit": "LIT alone",
    "scratch": "from scratch",
}
SHEETS = ("teacher", "student", "scratch")


def gather(
    study: Study, splits: data.Splits, judge: measurement.Judge, records: Sequence[dict]
) -> dict:
    """Gathers the records of all seeds into one report.

    Args:
        study: The config.
        splits: The data.
        judge: The judge that measured the records.
        records: What `conductor.run_seed` returned for each seed.

    Returns:
        The report, as in `report.json`.
    """
    models = [_summarize(name, records) for name in TITLES]
    by_name = {model["name"]: model for model in models}
    return {
        "study": config.plain(study),
        "versions": versions.versions(),
        "machine": versions.machine(),
        "data": {
            "name": config.name_of(study.data),
            "train": len(splits.train.labels),
            "test": len(splits.test.labels),
            "inputs": judge.inputs,
            "reference": judge.reference,
            "fingerprint": splits.fingerprint(),
        },
        "features": judge.features,
        "real": judge.real_scores(),
        "updates": updates(study, len(splits.train.labels)),
        "models": models,
        "student_minus_scratch": intervals.paired_difference(
            *(
                by_name[name]["frechet_classifier"]["values"]
                for name in ("student", "scratch")
            )
        ),
        "seeds": list(records),
        "failures": [line for record in records for line in _failures(record)],
    }


def updates(study: Study, images: int) -> dict[str, int]:
    """The number of generator updates that each model was trained for, by its name.

    Args:
        study: The config.
        images: Number of training images.
    """
    # As in `batches.Batches`: the last incomplete batch is left out.
    steps = max(1, images // study.batch_size)
    adversarial_epochs = {
        "teacher": study.teacher_epochs,
        "student": study.tuning_epochs,
        "scratch": study.scratch_epochs,
    }
    counts = {
        # A game updates the generator once in so many steps.
        name: epochs * steps // study.training.discriminator_steps
        for name, epochs in adversarial_epochs.items()
    }
    lit = study.lit.epochs * steps
    return {**counts, "student_lit": lit, "student": lit + counts["student"]}


def _summarize(name, records):
    """The summary of one model over all seeds."""
    models = [record["models"][name] for record in records]
    first = models[0]
    return {
        "name": name,
        "title": TITLES[name],
        **{key: first[key] for key in ("depth", "parameters", "macs", "uncounted")},
        **{
            key: intervals.summary([model[key] for model in models])
            for key in measurement.SCORES
        },
        "bytes": first.get("bytes"),
        "latency_ms": first.get("latency_ms"),
    }


def _failures(record):
    for name, model in record["models"].items():
        difference = model.get("largest_difference", 0.0)
        if difference > measurement.CLOSE:
            yield (
                f"seed {record['seed']}: pixels of {model['file']} differ by "
                f"{difference:.2g} from those of the {name}, more than "
                f"{measurement.CLOSE}"
            )


HEADERS = (
    "conv",
    "MACs",
    "updates",
    "Fréchet",
    "sd",
    "score",
    "class %",
    "kB",
    "ms",
)


def cells(result: Mapping, model: Mapping) -> list[str]:
    """The numbers of a model, under `HEADERS`."""
    frechet = model["frechet_classifier"]
    return [
        formats.whole(model["depth"]),
        formats.macs(model),
        formats.whole(result["updates"][model["name"]]),
        formats.plain(frechet["mean"]),
        formats.plain(frechet["sd"]),
        formats.percent(model["classifier_score"]["mean"]),
        formats.percent(model["class_accuracy"]["mean"], 1),
        formats.kilobytes(model["bytes"]),
        formats.milliseconds(model["latency_ms"]),
    ]


def real_cells(result: Mapping) -> list[str]:
    """The numbers of the real training images, under `HEADERS`."""
    real = result["real"]
    return [
        *[formats.NOTHING] * 3,
        formats.plain(real["frechet_classifier"]),
        formats.NOTHING,
        formats.percent(real["classifier_score"]),
        formats.percent(real["class_accuracy"], 1),
        *[formats.NOTHING] * 2,
    ]


def table(result: Mapping) -> str:
    """Formats every generator in one line, then compares student and control.

    Args:
        result: As in `report.json`.
    """
    rows = [[m["title"], *cells(result, m)] for m in result["models"]]
    lines = tabulate.tabulate(
        [*rows, ["real", *real_cells(result)]],
        headers=["made by", *HEADERS],
        colalign=["left", *["right"] * len(HEADERS)],
        disable_numparse=True,
    )
    return f"{lines}\n{verdict(result)}"


def verdict(result: Mapping) -> str:
    """States the difference of the student's and the control's distance."""
    difference = result["student_minus_scratch"]
    text = f"Fréchet, student minus scratch: {difference['mean']:+.3g}"
    if difference["low"] is not None:
        text += f" [{difference['low']:+.3g}, {difference['high']:+.3g}]"
    count = len(result["seeds"])
    return f"{text}; {count} {'seed' if count == 1 else 'seeds'}"


def note(result: Mapping) -> str:
    """Explains the numbers."""
    return (
        f"Fréchet: {result['data']['inputs']:,} test images are translated to every "
        "other class; mean over classes of the squared distance from these to the "
        "images of the class among "
        f"{result['data']['reference']:,} other test images, in the features "
        f"({result['features']}) of a classifier trained on the real training images. "
        "It is not the FID, whose features are Inception's. Lower is better; if a "
        "class has few images, all distances are too large. Score: the "
        "Inception score's formula with this classifier; class: how often it predicts "
        "the target class. An interval is Student's t over seeds, at 95 %: it covers "
        "what other weights and draws would change, not other images or another "
        "classifier. Real: the training images. Updates: of the generator. kB and "
        "ms: of the first seed's float32 file, on one thread."
    )


def sheets(folder: pathlib.Path, splits: data.Splits) -> dict[str, np.ndarray]:
    """Sheets of test images and their translations to every class, by title.

    Args:
        folder: The folder of a seed.
        splits: The data.
    """
    return {
        TITLES[name]: images.sheet(
            translation.samples(loader.open_own(folder / f"{name}.keras"), splits.test),
            translation.COLUMNS,
            least=32,
        )
        for name in SHEETS
    }


def html(result: Mapping, images_by_title: Mapping[str, np.ndarray]) -> str:
    """Renders the report as one self-contained page.

    Args:
        result: As in `report.json`.
        images_by_title: See `sheets`.
    """
    return template("generate.html").render(
        result=result,
        headers=HEADERS,
        rows=[(m["title"], cells(result, m)) for m in result["models"]],
        real=real_cells(result),
        verdict=verdict(result),
        note=note(result),
        sheets={title: data_uri(image) for title, image in images_by_title.items()},
        config=yaml.safe_dump(result["study"], sort_keys=False),
    )
