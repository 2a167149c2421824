"""Searches for the best finisher within a budget by short trials, with optuna."""

import json
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from distill.compress.search import budget, choices
from distill.runtime import errors, files, progress, seeds

FILE = "search.json"
# Predicted sizes are off by less than this factor: a choice is not tried if even then
# it would be too large.
MARGIN = 1.25
BROKEN = 100.0  # Shortage of a broken promise, whose size and accuracy mean nothing.
_PROPOSALS = 20  # Maximum proposals for each trial, since many repeat earlier ones.


def search(
    run: Any,
    diagnosis: dict,
    cost: Any,
    accuracy: float,
    *,
    folder: pathlib.Path,
    make: Callable[[choices.Choice, pathlib.Path], dict],
) -> dict:
    """Tries finishers, and finds the best within the budget.

    The order of trials depends only on the run's seed and on earlier results. Each
    result is written at once and never measured again, so that a search that was
    killed continues and ends like one that was not.

    Args:
        run: A config with a `budget`.
        diagnosis: See `distill.run.parent.diagnose`.
        cost: The cost of the student.
        accuracy: Accuracy of the student on the validation split, in percent.
        folder: The folder of `search.json` and of the trials' files.
        make: Makes the files of a short choice in a folder, and measures the last:
            its costs as in `Choice.predicted_costs`, `accuracy` on the validation
            split, and `failed`, its broken promises.

    Returns:
        The content of `search.json`: `accuracy` of the student; `trials`, all trials
        in order; `winner`, the label of the best.

    Raises:
        FinishError: If no file is within the budget; names the nearest.
    """
    path, earlier = folder / FILE, _read_trials(folder / FILE)
    feasible = {choice.label: choice for choice in _feasible(run, diagnosis, cost)}
    tried: dict[str, dict] = {}
    for label, tell in _propose(run, list(feasible.values())):
        if label not in tried:
            tried[label] = earlier.get(label) or _try(
                run.budget, feasible[label], accuracy, make, folder / "search"
            )
            progress.say(f"    search: {_describe(tried[label])}")
            if label not in earlier:
                _write(path, accuracy, tried, None)
        # Repeated proposals too: optuna waits for a value of each.
        tell(tried[label]["shortage"])
        if len(tried) >= min(run.budget.trials, len(feasible)):
            break
    best = min(tried.values(), key=budget.rank)
    if not best["fits"]:
        more = "`budget.trials` or " if len(tried) < len(feasible) else ""
        raise errors.FinishError(
            f"{_no_file(run.budget)} of {len(tried)} that were tried: the nearest is "
            f"{_describe(best)}. Allow more, or raise {more}`budget.part`"
        )
    return _write(path, accuracy, tried, best["label"])


def _feasible(run, diagnosis, cost):
    """The choices that the student supports and that are not predicted to be too large.

    Raises:
        FinishError: If there is none.
    """
    every = list(choices.all_choices(run, diagnosis, cost.by_layer))
    if not every:
        raise errors.FinishError("none of the finishers can be made of this model")
    costs = {choice.label: choice.predicted_costs(cost) for choice in every}
    limits = {label: run.budget.tightest_limit(each) for label, each in costs.items()}
    excess = {label: limit.excess(costs[label]) for label, limit in limits.items()}
    feasible = [choice for choice in every if excess[choice.label] <= MARGIN - 1]
    if not feasible:
        nearest = min(excess, key=excess.get)
        limit = limits[nearest]
        raise errors.FinishError(
            f"{_no_file(run.budget)}: the nearest is {nearest}, predicted "
            f"{costs[nearest][limit.key]:,} {limit.what}. Allow more, or take a "
            "smaller student"
        )
    return feasible


def _propose(
    run: Any, feasible: Sequence[choices.Choice]
) -> Iterator[tuple[str, Callable[[float], Any]]]:
    """Labels, each with a function that takes the shortage of this choice."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    trials = run.budget.trials
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(
            seed=seeds.seed_of(run.seed, "search"), n_startup_trials=max(1, trials // 3)
        )
    )
    grids: dict[str, dict[str, list]] = {}
    for choice in feasible:
        grid = grids.setdefault(choice.name, {})
        for key, value in choice.options.items():
            grid[key] = sorted({*grid.get(key, ()), value})
        if not hasattr(choice.steps[-1], "epochs"):
            # Without training, a trial costs almost nothing: these come first.
            study.enqueue_trial({"finisher": choice.name})
    labels = {(c.name, *c.options.values()): c.label for c in feasible}
    for _ in range(_PROPOSALS * trials):
        trial = study.ask()
        name = trial.suggest_categorical("finisher", list(grids))
        # Indices and not values: these are ordered, whatever their steps.
        values = [
            own[trial.suggest_int(f"{name}.{key}", 0, len(own) - 1)]
            for key, own in grids[name].items()
        ]
        label = labels.get((name, *values))
        if label is None:  # Values that cannot be combined, or that are too large.
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            yield label, lambda value, trial=trial: study.tell(trial, value)


def _try(budget, choice, accuracy, make, folder):
    """Makes and measures one choice; returns the trial's record."""
    # Choices with the same options share a folder, and with it the files of the
    # finishers that both need.
    shared = ",".join(f"{key}={value}" for key, value in choice.options.items())
    model = make(choice.short(budget.part), folder / (shared or "plain"))
    drop = accuracy - model["accuracy"]
    breaches = [*model["failed"], *budget.breaches(model, drop)]
    shortage = budget.shortage(model, drop) + BROKEN * bool(model["failed"])
    return {
        "label": choice.label,
        "finisher": choice.name,
        "options": choice.options,
        "size": budget.size(model),
        "accuracy": model["accuracy"],
        "drop": drop,
        "shortage": shortage,
        "fits": not breaches,
        "failed": breaches,
    }


def _describe(trial):
    size, drop = f"{trial['size']:,} bytes", f"drop {trial['drop']:.2f}"
    verdict = "; ".join(trial["failed"]) or "keeps the budget"
    return f"{trial['label']}: {size}, {drop}: {verdict}"


def _no_file(budget):
    return f"no file keeps the budget of {budget.allowed} and {budget.max_drop} points"


def _read_trials(path):
    trials = files.read_json(path)["trials"] if path.exists() else []
    return {trial["label"]: trial for trial in trials}


def _write(path, accuracy, tried, winner):
    trials = list(tried.values())
    content = {"accuracy": accuracy, "trials": trials, "winner": winner}
    files.atomic_write(path, json.dumps(content, indent=1))
    return content
