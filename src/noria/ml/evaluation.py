"""Evaluation: measure the candidate and its opponents on the same held-out rows."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noria.errors import EvidenceError
from noria.ml.bootstrap import Estimate, RowSums, difference, interval
from noria.ml.contenders import Contender, check_contenders
from noria.ml.decision import cost_matrix
from noria.ml.metrics import BINS, calibration_bins, confusion
from noria.ml.scores import Comparison, Evaluation, Scores, WrongItem

MOST_WRONG = 24  # rows shown to people

Masks = Mapping[str, NDArray[np.bool_]]


def evaluate(
    *,
    bundle: str,
    dataset: str,
    champion: str,
    labels: NDArray[np.int64],
    ids: NDArray[Any],
    probabilities: Mapping[str, NDArray[np.floating]],
    costs: Sequence[Sequence[float]],
    classes: Sequence[str],
    slices: Masks,
    draws: int,
    confidence: float,
    margin: float,
    slice_margin: float,
    seed: int,
) -> Evaluation:
    """Measure all contenders on the same rows, with one resampling of the rows behind every interval.

    Args:
        bundle: the candidate's digest.
        dataset: the digest of the dataset that the rows come from.
        champion: the champion's digest; "" goes with no probabilities under "champion".
        labels: class index of each row, (rows,).
        ids: the rows' ids, (rows,).
        probabilities: candidate, rule, no-skill and, where there is one, champion: (rows, classes) each.
        costs: costs[truth][decision].
        classes: names by index.
        slices: name -> mask of shape (rows,).
        draws: how often the rows are resampled.
        confidence: of two-sided intervals and of one-sided lower bounds, such as 0.95.
        margin: how much worse than an opponent the candidate may be as a whole, a share of the dearest error.
        slice_margin: the same in a slice.
        seed: of the resampling.

    Raises EvidenceError, naming the contender, where probabilities are missing, are none, or are of other rows.
    """
    _check_rows(labels, ids, classes, slices)
    matrix = cost_matrix(costs, len(classes))
    contenders = check_contenders(probabilities, champion=champion, labels=labels, costs=matrix)
    masks = {name: mask for name, mask in slices.items() if mask.any()}
    sums = RowSums(_columns(contenders, labels, len(classes), masks), draws=draws, seed=seed)
    comparisons = {
        name: _compare(sums, contender.name, masks, float(matrix.max()), (confidence, margin, slice_margin))
        for name, contender in contenders.items()
        if name != "candidate"
    }
    candidate = contenders["candidate"]
    present = {index: classes[index] for index in np.unique(labels).tolist()}
    return Evaluation(
        bundle=bundle,
        dataset=dataset,
        champion=champion,
        rows=len(labels),
        draws=draws,
        confidence=confidence,
        margin=margin,
        slice_margin=slice_margin,
        scores={name: _score(sums, name, present, masks, confidence) for name in contenders},
        comparisons=comparisons,
        slice_rows={name: int(mask.sum()) for name, mask in slices.items()},
        classes=tuple(classes),
        confusion=confusion(candidate.decisions, labels, len(classes)),
        calibration=calibration_bins(candidate.probabilities, labels),
        most_wrong=_most_wrong(candidate, labels, ids, classes),
    )


def _check_rows(labels: NDArray[np.int64], ids: NDArray[Any], classes: Sequence[str], slices: Masks) -> None:
    if len(labels) == 0:
        raise EvidenceError("there are no held-out rows: nothing can be measured; lengthen the holdout or the window")
    outside = int(((labels < 0) | (labels >= len(classes))).sum())
    if outside:
        raise EvidenceError(f"{outside} of {len(labels)} held-out labels are outside the {len(classes)} classes")
    for name, column in {"ids": ids, **{f"slice {name!r}": mask for name, mask in slices.items()}}.items():
        if column.shape != labels.shape:
            raise EvidenceError(
                f"{name} has shape {list(column.shape)}: expected {list(labels.shape)}, as the labels have"
            )


def _columns(
    contenders: Mapping[str, Contender], labels: NDArray[np.int64], classes: int, masks: Masks
) -> dict[Hashable, NDArray[Any]]:
    columns: dict[Hashable, NDArray[Any]] = {("rows", "class", index): labels == index for index in range(classes)}
    columns |= {("rows", "slice", name): mask for name, mask in masks.items()}
    for who, contender in contenders.items():
        columns |= {
            (who, "right"): contender.right,
            (who, "cost"): contender.costs,
            (who, "log loss"): contender.log_losses,
        }
        columns |= {(who, "bin", place): contender.gaps * (contender.bins == place) for place in range(BINS)}
        columns |= {(who, "class", index): contender.right & (labels == index) for index in range(classes)}
        columns |= {(who, "slice", name): contender.right & mask for name, mask in masks.items()}
        columns |= {(who, "slice cost", name): contender.costs * mask for name, mask in masks.items()}
    return columns


def _score(sums: RowSums, who: str, present: Mapping[int, str], masks: Masks, confidence: float) -> Scores:
    return Scores(
        accuracy=interval(sums.mean((who, "right")), confidence),
        cost=interval(sums.mean((who, "cost")), confidence),
        log_loss=interval(sums.mean((who, "log loss")), confidence),
        ece=interval(sums.mean_of_sizes([(who, "bin", place) for place in range(BINS)]), confidence),
        classes={
            class_name: interval(sums.ratio((who, "class", index), ("rows", "class", index)), confidence)
            for index, class_name in present.items()
        },
        slices={
            name: interval(sums.ratio((who, "slice", name), ("rows", "slice", name)), confidence) for name in masks
        },
    )


def _compare(
    sums: RowSums, opponent: str, masks: Masks, dearest: float, terms: tuple[float, float, float]
) -> Comparison:
    confidence, margin, slice_margin = terms
    whole = _saved(sums.mean((opponent, "cost")), sums.mean(("candidate", "cost")), dearest)
    parts = {
        name: _saved(
            sums.ratio((opponent, "slice cost", name), ("rows", "slice", name)),
            sums.ratio(("candidate", "slice cost", name), ("rows", "slice", name)),
            dearest,
        )
        for name in masks
    }
    return Comparison(
        whole=difference(whole, confidence=confidence, margin=margin, rows=sums.rows),
        slices={
            name: difference(part, confidence=confidence, margin=slice_margin, rows=int(masks[name].sum()))
            for name, part in parts.items()
        },
    )


def _saved(opponent: Estimate, candidate: Estimate, dearest: float) -> Estimate:
    return Estimate(
        value=(opponent.value - candidate.value) / dearest,
        draws=(opponent.draws - candidate.draws) / dearest,
    )


def _most_wrong(
    candidate: Contender, labels: NDArray[np.int64], ids: NDArray[Any], classes: Sequence[str]
) -> tuple[WrongItem, ...]:
    wrong = np.flatnonzero(~candidate.right)
    given = candidate.probabilities[wrong, candidate.decisions[wrong]].astype(np.float64)
    return tuple(
        WrongItem(
            id=str(ids[row]),
            row=int(row),
            truth=classes[labels[row]],
            decision=classes[candidate.decisions[row]],
            confidence=float(candidate.probabilities[row, candidate.decisions[row]]),
        )
        for row in wrong[np.argsort(-given, kind="stable")[:MOST_WRONG]]
    )
