"""Cross-validation: how a recipe would have done in each of several earlier runs, beside the rule and no skill."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noria.gates.limits import Limits
from noria.ml.baselines import no_skill
from noria.ml.content import hash_rows, leaked_rows
from noria.ml.dataset import Dataset, utc
from noria.ml.evaluation import evaluate
from noria.ml.folds import forward_folds
from noria.ml.months import months
from noria.ml.progress import Progress
from noria.ml.scores import Evaluation
from noria.ml.splits import Split
from noria.ml.training import TrainingParameters
from noria.task import Rows, Task, load_task

Answers = Mapping[str, NDArray[np.float64]]  # probabilities of each contender, (rows, classes)


@dataclass(frozen=True, kw_only=True)
class FoldResult:
    """One fold: the first and the last moment that it held out, and what was measured on these rows."""

    number: int
    first: datetime
    last: datetime
    training_rows: int
    epochs: int
    seconds: float
    evaluation: Evaluation


@dataclass(frozen=True, kw_only=True)
class CrossValidated:
    """Every fold, and all held-out rows together; `places` are theirs in the dataset, in the folds' order."""

    task: str
    dataset: str
    folds: tuple[FoldResult, ...]
    together: Evaluation
    places: tuple[int, ...]


class _Forgetful:
    """Checkpoints that nobody goes on from: a fold is over in minutes."""

    def load(self) -> bytes | None:
        return None

    def save(self, data: bytes) -> None:
        """Keep nothing."""


@dataclass(frozen=True, kw_only=True)
class Examiner:
    """What every fold is examined with."""

    task: Task
    dataset: Dataset
    rows: Rows
    recipe: TrainingParameters
    draws: int
    limits: Limits

    def measure(self, held: NDArray[np.int64], answers: Answers) -> Evaluation:
        """Everything that an evaluation says of these rows; the network stands in the candidate's place."""
        part, limits = {name: values[held] for name, values in self.rows.items()}, self.limits
        schema = self.dataset.schema
        return evaluate(
            bundle="",
            dataset=self.dataset.digest,
            champion="",
            labels=part[schema.label.name],
            ids=part[schema.id.name],
            probabilities=answers,
            costs=self.task.costs,
            classes=self.task.classes,
            slices=self.task.slices(part),
            told={**self.task.told(part), **months(part[schema.time.name])},
            draws=self.draws,
            confidence=limits.confidence,
            margin=limits.margin,
            slice_margin=limits.slice_margin,
            seed=self.recipe.seed,
        )


def cross_validate(
    dataset: Dataset,
    *,
    folds: int,
    validation_days: int,
    holdout_days: int,
    recipe: TrainingParameters,
    draws: int,
    limits: Limits,
    progress: Progress,
) -> CrossValidated:
    """Train and measure once for each fold; DatasetError where the rows do not reach as far back."""
    task, rows = load_task(dataset.facts.task), dataset.load()
    examiner = Examiner(task=task, dataset=dataset, rows=rows, recipe=recipe, draws=draws, limits=limits)
    splits = split_folds(dataset, rows, folds=folds, validation_days=validation_days, holdout_days=holdout_days)
    results, told = [], []
    for number, split in enumerate(splits, start=1):
        result, answers = examine(examiner, number, split, _numbered(progress, number, folds))
        results.append(result)
        told.append(answers)
    progress("measuring all folds together", None)
    held = np.concatenate([split.holdout for split in splits])
    together = {name: np.concatenate([answers[name] for answers in told]) for name in told[0]}
    return CrossValidated(
        task=task.name,
        dataset=dataset.digest,
        folds=tuple(results),
        together=examiner.measure(held, together),
        places=tuple(held.tolist()),
    )


def split_folds(
    dataset: Dataset, rows: Rows, *, folds: int, validation_days: int, holdout_days: int
) -> tuple[Split, ...]:
    """The folds, without the rows whose features stand in a fold's holdout as well, as a training leaves them out."""
    days = {"validation_days": validation_days, "holdout_days": holdout_days}
    hashes = hash_rows(rows, dataset.schema)
    return tuple(
        Split(
            train=np.setdiff1d(split.train, leaked_rows(hashes, split.train, split.holdout)),
            validation=np.setdiff1d(split.validation, leaked_rows(hashes, split.validation, split.holdout)),
            holdout=split.holdout,
        )
        for split in forward_folds(dataset.schema, rows, folds=folds, **days)
    )


def _numbered(progress: Progress, number: int, folds: int) -> Progress:
    def say(text: str, done: float | None) -> None:
        progress(f"fold {number} of {folds}: {text}", None if done is None else (number - 1 + done) / folds)

    return say


def examine(examiner: Examiner, number: int, split: Split, progress: Progress) -> tuple[FoldResult, Answers]:
    """Train on the fold's training rows, calibrate on its validation rows, and ask everyone about the rest."""
    from noria.ml.calibration import fit_temperature
    from noria.ml.feeding import compute_logits, read_features
    from noria.ml.loop import train

    task, schema = examiner.task, examiner.dataset.schema
    learned, chosen, held = (_take(examiner.rows, part) for part in (split.train, split.validation, split.holdout))
    trained = train(task, learned, chosen, examiner.recipe, _Forgetful(), progress)
    logits = {
        name: compute_logits(trained.network, read_features(schema, part)).astype(np.float64)
        for name, part in {"validation": chosen, "holdout": held}.items()
    }
    temperature = fit_temperature(logits["validation"], chosen[schema.label.name])
    labels, time = learned[schema.label.name], schema.time.name
    known = (*schema.features, schema.time)
    rule = task.fit_rule({column.name: learned[column.name] for column in known}, labels)
    answers = {
        "candidate": _softmax(logits["holdout"] / temperature),
        "rule": rule({column.name: held[column.name] for column in known}),
        "no-skill": no_skill(labels, len(split.holdout), len(task.classes)),
    }
    progress(f"resampling {len(split.holdout):,} rows", 1.0)
    return FoldResult(
        number=number,
        first=utc(held[time].min()),
        last=utc(held[time].max()),
        training_rows=len(split.train),
        epochs=trained.epochs_run,
        seconds=round(trained.seconds, 1),
        evaluation=examiner.measure(split.holdout, answers),
    ), answers


def _take(rows: Rows, which: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    return {name: values[which] for name, values in rows.items()}


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
