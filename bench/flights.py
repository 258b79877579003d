"""T3: flights, by the task's network and by gradient boosting on the same rows, beside the rule and no skill."""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.figure import Figure, Quantity, quantity, tell

FOLDS, DRAWS, CONFIDENCE = 4, 1000, 0.95
FIGURES = {"auc": "AUC", "average_precision": "average precision", "log_loss": "log loss", "ece": "ECE"}
UNITS = {"auc": "share", "average_precision": "share", "log_loss": "nats", "ece": "share"}
NAMES = {"candidate": "network", "boosting": "boosting", "rule": "rule", "no-skill": "no skill"}
BOOSTING = {
    "learning_rate": 0.05, "max_iter": 500, "max_leaf_nodes": 31, "min_samples_leaf": 200, "l2_regularization": 1.0,
    "n_iter_no_change": 20,
}  # fmt: skip
HOW = (
    "The {folds} folds of `noria cross-validate`: {days} days are held out, the {validation} days before choose the "
    "epoch or the number of trees and the temperature, and everything before these trains. The network by the task's "
    "recipe; scikit-learn's HistGradientBoostingClassifier ({boosting}) on the same rows and splits, texts as its "
    "categories, missing values as they are. A difference is that of the {rows:,} held-out rows of all folds, with its "
    "{level:.0%} interval from {draws:,} paired draws as least and most; other figures are medians of the folds, with "
    "the least and the most."
)


@dataclass(frozen=True, kw_only=True)
class Size:
    folds: int
    end: str
    epochs: int
    trees: int


WHOLE = Size(folds=FOLDS, end="2014-01-02", epochs=0, trees=0)
QUICK = Size(folds=1, end="2013-03-10", epochs=1, trees=20)


def read_rows(size: Size, home: Path) -> tuple[Any, Any]:
    """The dataset that a run would train on, and the run's parameters."""
    os.environ["NORIA_HOME"] = str(home)
    from noria.cli.dataset import read_training_dataset
    from noria.cli.preparing import prepare
    from noria.ml.progress import silent
    from noria.steps.ingest import parse_moment, parse_window

    ready = prepare("flights", "dev", ["threads=1"], as_of=size.end)
    chosen = ready.parameters
    window, as_of = parse_window(chosen.start, chosen.end), parse_moment("as_of", chosen.as_of)
    return read_training_dataset(ready.workspace, ready.task, window, as_of, silent)[0], chosen


def boost(schema: Any, rows: Any, split: Any, trees: int) -> Any:
    """Probabilities for the held-out rows, with a temperature of the validation rows, as the network's."""
    import numpy as np
    from sklearn.ensemble import HistGradientBoostingClassifier

    from noria.ml.calibration import fit_temperature
    from noria.ml.choices import place_texts

    columns = [
        place_texts(column, rows[column.name]) if column.choices else rows[column.name] for column in schema.features
    ]
    table, labels = np.column_stack(columns).astype(np.float64), rows[schema.label.name]
    options = BOOSTING | ({"max_iter": trees} if trees else {})
    model = HistGradientBoostingClassifier(
        **options,
        categorical_features=[bool(column.choices) for column in schema.features],
        early_stopping=True,
        random_state=1,
    )
    model.fit(table[split.train], labels[split.train], X_val=table[split.validation], y_val=labels[split.validation])
    chosen, held = (np.log(model.predict_proba(table[part])) for part in (split.validation, split.holdout))
    powered = np.exp(held / fit_temperature(chosen, labels[split.validation]))
    return powered / powered.sum(axis=1, keepdims=True)


def paired(answers: dict[str, Any], labels: Any) -> dict[str, dict[str, Any]]:
    """Of each contender and figure, the value and its draws; the draws of all contenders take the same rows."""
    import numpy as np

    from noria.ml.bootstrap import draw_weights
    from noria.ml.contenders import check_contenders
    from noria.ml.ranking import FIGURES as ORDER
    from noria.ml.ranking import Part

    # the contenders' own door takes a champion as the fourth
    given = {"champion" if name == "boosting" else name: values for name, values in answers.items()}
    checked = check_contenders(given, champion="boosting", labels=labels, costs=1.0 - np.eye(2))
    parts = {name: Part.of(one, labels, np.arange(len(labels))) for name, one in checked.items()}
    ones = np.ones((1, len(labels)), np.int32)
    values = {name: part.measure(ones) for name, part in parts.items()}
    drawn = {name: [] for name in parts}
    for _, weights in draw_weights(len(labels), DRAWS, 1):
        for name, part in parts.items():
            drawn[name].append(part.measure(weights.astype(np.int32)))
    return {
        "boosting" if name == "champion" else name: {
            figure: (float(values[name][0, at]), np.concatenate(drawn[name])[:, at]) for at, figure in enumerate(ORDER)
        }
        for name in parts
    }


def difference(figure: str, measured: dict[str, dict[str, Any]]) -> Quantity:
    import numpy as np

    (mine, my_draws), (theirs, their_draws) = measured["candidate"][figure], measured["boosting"][figure]
    low, high = np.quantile(my_draws - their_draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    name = f"network − boosting, {FIGURES[figure]}"
    return Quantity(name=name, unit=UNITS[figure], median=mine - theirs, minimum=float(low), maximum=float(high))


def describe(measured: dict[str, dict[str, Any]], figure: str) -> str:
    """Each contender's figure with its interval, in one line."""
    import numpy as np

    said = []
    for name, called in NAMES.items():
        value, draws = measured[name][figure]
        low, high = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        said.append(f"{called} {value:.4f} [{low:.4f}, {high:.4f}]")
    return "; ".join(said)


def measure(*, quick: bool) -> Figure:
    import numpy as np

    from noria.gates.limits import Limits
    from noria.ml.progress import silent
    from noria.steps.cross_validation import Examiner, examine, split_folds
    from noria.task import load_task

    size = QUICK if quick else WHOLE
    with tempfile.TemporaryDirectory() as folder:
        dataset, chosen = read_rows(size, Path(folder))
        rows = dataset.load()
    days = {"validation_days": chosen.validation_days, "holdout_days": chosen.holdout_days}
    recipe = replace(chosen.recipe(), **({"epochs": size.epochs} if size.epochs else {}))
    examiner = Examiner(task=load_task("flights"), dataset=dataset, rows=rows, recipe=recipe, draws=20, limits=Limits())
    results, told, labels = [], [], []
    splits = split_folds(dataset, rows, folds=size.folds, **days)
    for number, split in enumerate(splits, start=1):
        print(f"T3: fold {number} of {size.folds}", file=sys.stderr, flush=True)
        result, answers = examine(examiner, number, split, silent)
        results.append(result)
        told.append({**answers, "boosting": boost(dataset.schema, rows, split, size.trees)})
        labels.append(rows[dataset.schema.label.name][split.holdout])
    each = [paired(answers, truth) for answers, truth in zip(told, labels, strict=True)]
    whole = paired({name: np.concatenate([one[name] for one in told]) for name in told[0]}, np.concatenate(labels))
    spans = [f"{result.first:%Y-%m-%d} to {result.last:%Y-%m-%d}" for result in results]
    worse = difference("log_loss", whole)
    return Figure(
        id="T3",
        title="Flights, network and boosting",
        goal="log loss on all held-out rows not shown to be worse than boosting's",
        met=None if quick else worse.minimum <= 0,
        how=HOW.format(
            folds=size.folds, days=chosen.holdout_days, validation=chosen.validation_days, draws=DRAWS,
            level=CONFIDENCE, rows=sum(map(len, labels)),
            boosting=", ".join(f"{name} {value:g}" for name, value in BOOSTING.items()),
        ),
        rounds=size.folds,
        quantities=tuple(
            quantity(f"{called}, {FIGURES[figure]}", UNITS[figure], [fold[name][figure][0] for fold in each])
            for figure in FIGURES
            for name, called in NAMES.items()
        )
        + tuple(difference(figure, whole) for figure in FIGURES)
        + (quantity("training of the network", "s", [result.seconds for result in results]),),
        drawn="share",
        facts={f"all folds, {FIGURES[figure]}": describe(whole, figure) for figure in FIGURES}
        | {
            f"{span}, {FIGURES[figure]}": describe(one, figure)
            for span, one in zip(spans, each, strict=True)
            for figure in FIGURES
        },
        versions={name: version(name) for name in ("torch", "scikit-learn")},
    )  # fmt: skip


if __name__ == "__main__":
    tell([measure(quick="--quick" in sys.argv)])
