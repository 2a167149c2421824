"""Gathers the reports of several configs and seeds into one comparison."""

from collections.abc import Sequence
from typing import Any

from distill import config
from distill.data import beside
from distill.report.charts import scatter
from distill.runtime.errors import ConfigError
from distill.studies import intervals


def gather(jobs: Sequence[Any], reports: Sequence[dict], out: Any) -> dict:
    """Compares finished runs.

    Args:
        jobs: `jobs.Job`s, sorted by seed, with configs in the same order in each.
        reports: The report of each job, as in `report.json`.
        out: The folder of all runs; links to their pages are relative to it.

    Returns:
        The comparison, as in `compare.json`.

    Raises:
        ConfigError: If two of the runs used different data.
    """
    fingerprints = {report["data"]["fingerprint"] for report in reports}
    if len(fingerprints) > 1:
        raise ConfigError(
            f"the runs in {out} used different data (fingerprints "
            f"{', '.join(sorted(fingerprints))}): restore the first, or name another "
            "folder with --out"
        )
    seeds = {}
    for job, report in zip(jobs, reports, strict=True):
        seeds.setdefault(job.name, []).append((job, report))
    models = _models(seeds)
    return {
        "seeds": [job.run.seed for job, _ in next(iter(seeds.values()))],
        "confidence": intervals.CONFIDENCE,
        "data": reports[0]["data"],
        "machine": reports[0]["machine"],
        "versions": reports[0]["versions"],
        "configs": {name: config.plain(runs[0][0].run) for name, runs in seeds.items()},
        "models": models,
        "differences": _differences(seeds, models),
        "runs": [
            {
                "config": job.name,
                "seed": job.run.seed,
                "page": f"{job.folder.relative_to(out)}/report.html",
            }
            for job in jobs
        ],
        "warnings": _warnings(seeds),
        "failures": [f"{m['name']}: {why}" for m in models for why in m["failed"]],
    }


def _models(seeds):
    """One entry for each model of each config; teachers once, if all share them."""
    models = [
        _summarize_model(name, records, runs)
        for name, runs in seeds.items()
        for records in _records(runs)
    ]
    models = _once(models)
    # A file for each seed: configs share their teachers if all of these are equal.
    hashes = {tuple(m["sha256"]) for m in models if m["model"] == "teacher"}
    if len(hashes) > 1:
        return models
    first = next(iter(seeds))
    # Also its exported file, `teacher.float32`.
    shared = [m["model"].split(".")[0] == "teacher" for m in models]
    return [
        m | ({"name": m["model"]} if once else {})
        for m, once in zip(models, shared, strict=True)
        if not once or m["config"] == first
    ]


def _once(models):
    """The models without references that an earlier config has too."""
    seen, kept = set(), []
    for model in models:
        known = (model["model"], *model["sha256"])
        if model["family"] != "reference" or known not in seen:
            kept.append(model)
        seen.add(known)
    return kept


def _records(runs):
    """The entries of each model that all runs of a config have."""
    # A reference that could not be measured is in the reports of the others alone.
    reports = [{m["name"]: m for m in report["models"]} for _, report in runs]
    for name in reports[0]:
        if all(name in models for models in reports):
            yield [models[name] for models in reports]


def _summarize_model(name, records, runs):
    """The summary of one model of one config over all seeds."""
    model = records[0]["name"]
    summaries = {
        key: intervals.summary([record[key] for record in records])
        for key in ("accuracy", "agreement_with_teacher")
    }
    arenas = [record.get("arena_bytes") for record in records]
    if all(arenas):  # Only of files that run in TFLite Micro, in every run.
        summaries["arena_bytes"] = intervals.summary(arenas)
    # A teacher that only answers has no size.
    sizes = [record["bytes"] for record in records]
    summaries["bytes"] = {"mean": None} if None in sizes else intervals.summary(sizes)
    return {
        "name": f"{name}.{model}",
        "config": name,
        "model": model,
        "family": scatter.family(model),
        "file": records[0]["file"],
        "sha256": [record["sha256"] for record in records],
        **summaries,
        "updates": _updates(runs[0], model),
        "failed": [
            f"seed {job.run.seed}: {why}"
            for (job, _), record in zip(runs, records, strict=True)
            for why in record["failed"]
        ],
    }


def _updates(run, model):
    """Optimizer updates of the student or a control; None for other models."""
    job, report = run
    stages = {"student": job.run.stages}
    stages |= {control.name: control.stages for control in job.run.controls}
    if model not in stages:
        return None
    counts = report["data"]["train"], report["data"].get("unlabelled", 0)
    accumulated = job.run.hardware.gradient_accumulation
    return sum(
        # Each stage has its own optimizer: gradients left over at its end are lost,
        # so round down for each stage, not for the sum.
        beside.steps_per_epoch(*counts, stage.labelled_share, job.run.batch_size)
        * stage.epochs
        // (stage.trainer.steps_per_update * accumulated)
        for stage in stages[model]
    )


def _differences(seeds, models):
    """Differences of each student to its controls and to the first config's student."""
    accuracy = {m["name"]: m["accuracy"]["values"] for m in models}
    first = next(iter(seeds))
    differences = []
    for name, runs in seeds.items():
        ours = f"{name}.student"
        others = [f"{name}.{control.name}" for control in runs[0][0].run.controls]
        others += [f"{first}.student"] if name != first else []
        differences += [
            {
                "of": ours,
                "to": other,
                **intervals.paired_difference(accuracy[ours], accuracy[other]),
            }
            for other in others
        ]
    return differences


def _warnings(seeds):
    runs = {name: pairs[0] for name, pairs in seeds.items()}
    lines = []
    if len(next(iter(seeds.values()))) < 2:
        lines.append("One seed has no interval: give --seeds 2 or more")
    updates = {name: _updates(run, "student") for name, run in runs.items()}
    if len(set(updates.values())) > 1:
        counts = ", ".join(f"{name} {count:,}" for name, count in updates.items())
        lines.append(
            f"The students of the configs had unequal numbers of updates ({counts}): "
            "compare each with its own controls, not with another config's"
        )
    for name, (job, report) in runs.items():
        for control in job.run.controls:
            own = _updates((job, report), control.name)
            if own != updates[name]:
                lines.append(
                    f"{name}.{control.name} had {own:,} updates, its student "
                    f"{updates[name]:,}: they differ in more than the method"
                )
    return lines
