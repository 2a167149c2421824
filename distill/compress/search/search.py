"""Which finisher keeps a budget: short finishes, chosen by optuna."""

import json
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from distill.compress.search import budget, choices
from distill.runtime import errors, files, progress, seeds

FILE = "search.json"
ROOM = 1.25  # A prediction is off by less: what is predicted larger is not tried.
BROKEN = 100.0  # Points of a broken promise, whose size and accuracy say nothing.
_ASKED = 20  # Draws for each trial, at most: many have been drawn before.


def search(
    run: Any,
    found: dict,
    cost: Any,
    accuracy: float,
    *,
    folder: pathlib.Path,
    finished: Callable[[choices.Choice, pathlib.Path], dict],
) -> dict:
    """Tries finishers, and says which of those that keep the budget is best.

    What is drawn depends on the run's seed and on what was measured alone. What was
    tried is written at once, and never tried again: a search that was killed goes on,
    and ends like one that was not.

    Args:
        run: With a `budget`.
        found: See `distill.run.parent.diagnose`.
        cost: What the student costs.
        accuracy: Of the student on the validation split, in percent.
        folder: For `search.json`, and what is made on the way.
        finished: Makes the files of a short choice in a folder, and measures the last:
            `bytes`, `gzip_bytes`, `accuracy` on the validation split, and `failed`,
            its broken promises.

    Returns:
        As in `search.json`: `accuracy` of the student; `trials`, what was tried, in
        order; `winner`, the label of the best.

    Raises:
        FinishError: If no file keeps the budget; names the nearest.
    """
    path, kept = folder / FILE, _kept(folder / FILE)
    able = {choice.label: choice for choice in _able(run, found, cost)}
    tried: dict[str, dict] = {}
    for label, tell in _drawn(run, list(able.values())):
        if label not in tried:
            tried[label] = kept.get(label) or _row(
                run.budget, able[label], accuracy, finished, folder / "search"
            )
            progress.say(f"    search: {_said(tried[label])}")
            if label not in kept:
                _write(path, accuracy, tried, None)
        tell(tried[label]["shortage"])
        if len(tried) >= min(run.budget.trials, len(able)):
            break
    best = min(tried.values(), key=budget.rank)
    if not best["fits"]:
        raise errors.FinishError(
            f"{_none(run.budget)} of {len(tried)} that were tried: the nearest is "
            f"{_said(best)}. Allow more, or raise `budget.trials` or `budget.part`"
        )
    return _write(path, accuracy, tried, best["label"])


def _able(run, found, cost):
    """What can be made, and is not predicted to be too large.

    Raises:
        FinishError: If there is nothing.
    """
    every = list(choices.all_choices(run, found))
    if not every:
        raise errors.FinishError("none of the finishers can be made of this model")
    if run.budget.counts == "gzip":
        return every  # Which no prediction knows.
    sizes = {choice.label: choice.predicted_bytes(cost) for choice in every}
    most = 1000 * ROOM * run.budget.max_kb
    able = [choice for choice in every if sizes[choice.label] <= most]
    if not able:
        nearest = min(sizes, key=sizes.get)
        raise errors.FinishError(
            f"{_none(run.budget)}: the nearest is {nearest}, predicted "
            f"{sizes[nearest]:,} bytes. Allow more, or take a smaller student"
        )
    return able


def _drawn(
    run: Any, able: Sequence[choices.Choice]
) -> Iterator[tuple[str, Callable[[float], Any]]]:
    """Labels, and for each a function that is told how short of its aim it was."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    trials = run.budget.trials
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(
            seed=seeds.seed_of(run.seed, "search"), n_startup_trials=max(1, trials // 3)
        )
    )
    grids: dict[str, dict[str, list]] = {}
    for choice in able:
        grid = grids.setdefault(choice.name, {})
        for key, value in choice.options.items():
            grid[key] = sorted({*grid.get(key, ()), value})
        if not hasattr(choice.steps[-1], "epochs"):
            study.enqueue_trial({"finisher": choice.name})  # It costs next to nothing.
    labels = {(c.name, *c.options.values()): c.label for c in able}
    for _ in range(_ASKED * trials):
        trial = study.ask()
        name = trial.suggest_categorical("finisher", list(grids))
        values = [
            own[trial.suggest_int(f"{name}.{key}", 0, len(own) - 1)]
            for key, own in grids[name].items()
        ]
        label = labels.get((name, *values))
        if label is None:  # Two values that do not go together.
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            yield label, lambda value, trial=trial: study.tell(trial, value)


def _row(budget, choice, accuracy, finished, folder):
    """One trial: what was made and measured."""
    # Of those that share options, one goes on from what another has made.
    shared = ",".join(f"{key}={value}" for key, value in choice.options.items())
    made = finished(choice.short(budget.part), folder / (shared or "plain"))
    drop = accuracy - made["accuracy"]
    why = [*made["failed"], *budget.breaches(made, drop)]
    shortage = budget.shortage(made, drop) + BROKEN * bool(made["failed"])
    return {
        "label": choice.label,
        "finisher": choice.name,
        "options": choice.options,
        "size": budget.size(made),
        "accuracy": made["accuracy"],
        "drop": drop,
        "shortage": shortage,
        "fits": not why,
        "failed": why,
    }


def _said(row):
    why = "; ".join(row["failed"]) or "keeps the budget"
    return f"{row['label']}: {row['size']:,} bytes, drop {row['drop']:.2f}: {why}"


def _none(budget):
    how = " through gzip" if budget.counts == "gzip" else ""
    return (
        f"no file keeps the budget of {budget.max_kb} kB{how} and {budget.max_drop} "
        "points"
    )


def _kept(path):
    rows = json.loads(path.read_text())["trials"] if path.exists() else []
    return {row["label"]: row for row in rows}


def _write(path, accuracy, tried, winner):
    trials = list(tried.values())
    made = {"accuracy": accuracy, "trials": trials, "winner": winner}
    files.atomic_write(path, json.dumps(made, indent=1))
    return made
