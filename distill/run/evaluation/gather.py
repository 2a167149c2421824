"""Measures every model of a finished run, and writes the report."""

import dataclasses
import json
import pathlib

import numpy as np

from distill import config, data
from distill.measure import accuracy
from distill.report import confusion, front, page, tensorboard, trackers
from distill.report.card import model_card
from distill.report.charts import pareto
from distill.run import micro, parent
from distill.run.evaluation import certify, judge, references, warn
from distill.run.evaluation import models as measured
from distill.run.evaluation.record import put_latencies
from distill.runtime import files, packages, progress, versions
from distill.runtime.process import memory


def gather(
    run: config.Run,
    splits: data.Splits,
    folder: pathlib.Path,
    stages: list[dict],
    own: measured.Networks,
    tracker: trackers.Session | None = None,
) -> dict:
    """Measures every model of a run, and writes the report in all its forms.

    Args:
        run: The run.
        splits: The data: the validation split decides which files pass and which is
            chosen, the test split measures how accurate they are.
        folder: The folder of the models, in which `report.json`, `report.html`,
            `MODEL_CARD.md`, the files of `front.write` and `tensorboard/` are written.
        stages: The records of all stages and finishes, in order.
        own: What was measured of the networks.
        tracker: Gets the final numbers, the report and the files; None without one.

    Returns:
        The report, as in `report.json`.
    """
    made, search = _made(run, folder), _search(folder)
    exported, answers, facts = measured.measure_files(made, splits, folder, own)
    models, answers = [*own.models, *exported], own.answers | answers
    others, unmeasured = references.measure(run, splits.test, own.taught)
    _time(run, models, others, folder, splits.test)
    if run.target == "micro":
        micro.measure(run, models, folder, splits.test)
    judge.judge(made, folder, models, stages, facts, own.counted)
    tried = len(search["trials"]) if search else 1
    _certify(made, own.student, folder, models, splits, tried)
    result = {
        "run": _plain(run),
        "versions": versions.versions(),
        "machine": versions.machine(),
        "peak_memory_bytes": memory.peaks(),
        "data": _describe_data(run.data, splits),
        "models": [*models, *others],
        "stitched": own.stitched,
        "stages": stages,
        "search": search,
        "warnings": [
            *_warnings(run, made, splits, models, stages),
            *warn.no_agreement(own.answers["student"], own.taught, splits.test),
            *unmeasured,
        ],
        "failures": _failures(run, models),
    }
    chosen = pareto.smallest(models)
    result["confusion"] = _confusion(chosen, answers, splits.test)
    wrong = _find_errors(chosen, answers, splits, run.data.class_names)
    _write(run, splits, folder, result, wrong)
    if tracker is not None:
        tracker.end(result, tensorboard.final(models))
    return result


def _made(run, folder):
    """The run, without its files if they were not made or cannot be read here."""
    unread = packages.missing(*packages.READING)
    finished = (folder / "finish.json").exists() and not unread
    return run if finished else dataclasses.replace(run, finish=())


def _search(folder):
    """What a search found; None without one."""
    path = folder / "search.json"
    return files.read_json(path) if path.exists() else None


def _write(run, splits, folder, result, wrong):
    """Writes the report in all its forms."""
    files.atomic_write(folder / "report.html", page.html(result, wrong))
    files.atomic_write(folder / "MODEL_CARD.md", model_card.text(result))
    front.write(folder, result)
    # Next to last: a folder with a `report.json` counts as finished.
    files.atomic_write(folder / "report.json", json.dumps(result, indent=1))
    tensorboard.write_run(folder / "tensorboard" / "run", run, result, splits)


def _time(run, models, others, folder, split):
    """Measures the latencies of own files and references in turn."""
    paths = {model["name"]: folder / model["file"] for model in models}
    # Beside references all run where these have to: else they would not be comparable.
    way = {"latencies": references.latencies} if others else {}
    with progress.step("measure latency", "all files in turn"):
        together = [*models, *others]
        put_latencies(together, paths | references.paths(run, others), split, **way)


def _plain(run):
    """The config as plain data; a `Finishing` gets empty `stages` and `controls`."""
    plain = config.plain(run)
    return plain | {key: [] for key in ("stages", "controls") if key not in plain}


def _describe_data(dataset, splits):
    counts = {name: len(part.labels) for name, part in splits.with_unlabelled().items()}
    return {
        "name": config.name_of(dataset),
        "kind": dataset.kind,
        "class_names": list(dataset.class_names),
        "input_shape": list(dataset.input_shape),
        **counts,
        "fingerprint": splits.fingerprint(),
    }


def _warnings(run, made, splits, models, stages):
    """The report's warnings; `made` is the run without files that cannot be made."""
    return [
        *splits.warnings,
        *warn.no_labels(models),
        *warn.controls(run, models),
        *warn.few_examples(made, len(splits.validation.labels)),
        *warn.test_drops(made, models),
        *warn.alarms(stages),
        *warn.certificates(models),
        *([parent.missing_warning()] if made != run else []),
        *references.missing_warning(run),
    ]


def _certify(run, student, folder, models, splits, tried):
    """Adds certificates to the files of those finishers that ask for one."""
    by_name = {model["name"]: model for model in models}
    for part in run.finish:
        if part.certified and splits.train.has_labels:
            model = by_name[f"student.{config.name_of(part)}"]
            options = certify.describe_options(run, part, student)
            if splits.tokenizer is not None:  # It may be fitted to the examples.
                options += splits.tokenizer.to_str()
            with progress.step(f"certify {model['file']}", "on the training split"):
                model["certificate"] = certify.certify(
                    folder / model["file"], splits.train, options, tried
                )


def _failures(run, models):
    """The broken promises of the models that must keep theirs."""
    # With a budget, the others are only steps on the way to the last.
    shipped = models[-1:] if getattr(run, "budget", None) else models
    return [
        f"{model['name']}: {reason}" for model in shipped for reason in model["failed"]
    ]


def _confusion(chosen, answers, split):
    """The confusions of the teacher and of the chosen file, else of the student."""
    if not split.has_labels:
        return None
    names = dict.fromkeys(["teacher", chosen["name"] if chosen else "student"])
    compared = {name: answers[name] for name in names if name in answers}
    return confusion.record(
        split.labels, compared, next(iter(answers.values())).shape[-1]
    )


def _find_errors(chosen, answers, splits, class_names):
    """Test examples that the chosen file misclassifies and its reference does not."""
    if chosen is None or not splits.test.has_labels:
        return []
    split, right = splits.test, "teacher" if "teacher" in answers else "student"
    said, taught = (accuracy.classes(answers[name]) for name in (chosen["name"], right))
    named = (*class_names, "NaN")  # An answer of NaN has the class -1: the last name.
    missed = np.flatnonzero((said != split.labels) & (taught == split.labels))
    shown = splits.decode(split.take(missed).floats())
    return [
        (example, *(named[given[index]] for given in (split.labels, said, taught)))
        for example, index in zip(shown, missed, strict=True)
    ]
