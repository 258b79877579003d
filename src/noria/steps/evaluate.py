"""Evaluate: score candidate, champion, rule and no skill on the rows that only the gates see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from noria.errors import EvidenceError
from noria.gates.limits import Limits
from noria.ml.baselines import no_skill
from noria.ml.bundle import Bundle, Facts
from noria.ml.dataset import Dataset, utc
from noria.ml.evaluation import evaluate as measure
from noria.ml.inference import Session, check_fit, predict
from noria.ml.months import months
from noria.ml.progress import Progress
from noria.ml.scores import Evaluation
from noria.ml.splits import split_rows
from noria.steps.groups import read_group
from noria.steps.workspace import Workspace, digest_of
from noria.task import Rows, load_task


@dataclass(frozen=True, kw_only=True)
class Measured:
    """An evaluation, and the parts of it that KFP's pages show."""

    evaluation: Evaluation

    @property
    def encoded(self) -> bytes:
        return msgspec.json.encode(self.evaluation, order="deterministic")

    @property
    def figures(self) -> dict[str, float]:
        """The main figures of each contender."""
        return {
            f"{name}_{figure}": round(getattr(scores, figure).value, 6)
            for name, scores in self.evaluation.scores.items()
            for figure in ("accuracy", "log_loss", "ece")
        }

    @property
    def confusion(self) -> list[list[int]]:
        return [list(row) for row in self.evaluation.confusion]


def evaluate(
    workspace: Workspace,
    *,
    uri: str,
    bundle: str,
    champion: str,
    validation_days: int,
    holdout_days: int,
    draws: int,
    seed: int,
    limits: Mapping[str, float],
    progress: Progress,
) -> Measured:
    """Score everyone on the holdout; EvidenceError where the candidate was trained on other data, or saw it."""
    bounds = read_group("limits", limits, Limits)
    dataset = workspace.fetch_dataset(uri)
    candidate = workspace.fetch_bundle(digest_of(bundle))
    task = load_task(dataset.facts.task)
    rows = dataset.load()
    split = split_rows(dataset.schema, rows, validation_days=validation_days, holdout_days=holdout_days)
    _check_unseen(candidate, dataset, rows, split.holdout)
    held = {name: values[split.holdout] for name, values in rows.items()}
    labels = rows[dataset.schema.label.name]
    probabilities = {"candidate": _ask(candidate, held)}
    seen = 0
    if champion:
        progress("asking the champion", None)
        opponent = workspace.fetch_bundle(champion)
        probabilities["champion"] = _ask(opponent, held)
        seen = count_seen(opponent.facts, held[dataset.schema.time.name])
    progress("asking the rule", None)
    known = {column.name: rows[column.name] for column in (*dataset.schema.features, dataset.schema.time)}
    rule = task.fit_rule({name: values[split.train] for name, values in known.items()}, labels[split.train])
    probabilities["rule"] = rule({name: values[split.holdout] for name, values in known.items()})
    probabilities["no-skill"] = no_skill(labels[split.train], len(split.holdout), len(task.classes))
    progress(f"resampling {len(split.holdout):,} rows {draws:,} times", None)
    measured = measure(
        bundle=candidate.digest,
        dataset=dataset.digest,
        champion=champion,
        labels=labels[split.holdout],
        ids=held[dataset.schema.id.name],
        probabilities=probabilities,
        costs=task.costs,
        classes=task.classes,
        slices=task.slices(held),
        told={**task.told(held), **months(held[dataset.schema.time.name])},
        draws=draws,
        confidence=bounds.confidence,
        margin=bounds.margin,
        slice_margin=bounds.slice_margin,
        seed=seed,
    )
    return Measured(evaluation=replace(measured, champion_seen=seen))


def count_seen(facts: Facts, times: NDArray[np.datetime64]) -> int:
    """How many rows lie in the time that a bundle learned from."""
    first, last = (
        np.datetime64(at.astimezone(UTC).replace(tzinfo=None)) for at in (facts.training_start, facts.training_end)
    )
    return int(((times >= first) & (times <= last)).sum())


def _check_unseen(candidate: Bundle, dataset: Dataset, rows: Rows, holdout: NDArray[np.int64]) -> None:
    first = utc(rows[dataset.schema.time.name][holdout[0]])
    if candidate.facts.training_data != dataset.digest or candidate.facts.training_end >= first:
        raise EvidenceError(
            f"candidate {candidate.digest[:12]} learned from dataset {candidate.facts.training_data[:12]} up to "
            f"{candidate.facts.training_end:%Y-%m-%d %H:%M}: the holdout of {dataset.digest[:12]} begins at "
            f"{first:%Y-%m-%d %H:%M}, and it must not have seen it; train again on this dataset"
        )


def _ask(bundle: Bundle, rows: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    session = Session.load(bundle.model, threads=1)
    check_fit(session, bundle.facts.schema)
    return predict(session, rows)
