"""Evaluation: measure the candidate and its opponents on the same held-out rows."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noria.errors import EvidenceError
from noria.ml.bootstrap import Estimate, RowSums, difference, interval
from noria.ml.contenders import Contender, check_contenders
from noria.ml.decision import cost_matrix
from noria.ml.metrics import BINS, calibration_bins, confusion
from noria.ml.ranking import rank
from noria.ml.scores import Comparison, Evaluation, RankingScores, Scores, WrongItem

MOST_WRONG = 24  # rows shown to people

WHOLE = ""  # among parts of the rows, all of them; no slice has this name

Masks = Mapping[str, NDArray[np.bool_]]
NONE: Masks = {}
Ranked = Mapping[str, Mapping[str, RankingScores]]  # by contender and part


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What is compared, and how surely: the part of an evaluation that is known beforehand."""

    bundle: str
    dataset: str
    champion: str
    draws: int
    confidence: float
    margin: float
    slice_margin: float


@dataclass(frozen=True, kw_only=True)
class _Held:
    """The held-out rows."""

    labels: NDArray[np.int64]
    ids: NDArray[Any]
    classes: Sequence[str]
    slices: Masks
    told: Masks

    @property
    def masks(self) -> Masks:
        """The slices that have rows."""
        return {name: mask for name, mask in self.slices.items() if mask.any()}

    @property
    def parts(self) -> Masks:
        """The slices, and the parts that are only told, that have rows."""
        return {**self.masks, **{name: mask for name, mask in self.told.items() if mask.any()}}

    @property
    def present(self) -> Mapping[int, str]:
        """The classes that have rows, by index."""
        return {index: self.classes[index] for index in np.unique(self.labels).tolist()}


def evaluate(
    *,
    bundle: str,  # the candidate's digest
    dataset: str,  # the digest of the dataset that the rows come from
    champion: str,  # the champion's digest; "" goes with no probabilities under "champion"
    labels: NDArray[np.int64],  # class index of each row, (rows,)
    ids: NDArray[Any],  # (rows,)
    probabilities: Mapping[str, NDArray[np.floating]],  # of each contender, (rows, classes)
    costs: Sequence[Sequence[float]],  # costs[truth][decision]
    classes: Sequence[str],  # names by index
    slices: Masks,  # by name, (rows,) each
    draws: int,  # how often the rows are resampled
    confidence: float,  # of two-sided intervals and of one-sided lower bounds, such as 0.95
    margin: float,  # how much worse than an opponent the candidate may be, a share of the dearest error
    slice_margin: float,  # the same in a slice
    seed: int,  # of the resampling
    told: Masks = NONE,  # further parts, whose figures are told and compared with nobody's
) -> Evaluation:
    """Measure all contenders on the same rows, with one resampling of the rows behind every interval.

    The contenders are candidate, rule, no-skill and, where there is one, champion. Raises EvidenceError, naming the
    contender, where probabilities are missing, are none, or are of other rows.
    """
    asked = _Asked(
        bundle=bundle,
        dataset=dataset,
        champion=champion,
        draws=draws,
        confidence=confidence,
        margin=margin,
        slice_margin=slice_margin,
    )
    held = _Held(labels=labels, ids=ids, classes=tuple(classes), slices=slices, told=told)
    _check_rows(held)
    matrix = cost_matrix(costs, len(classes))
    contenders = check_contenders(probabilities, champion=champion, labels=labels, costs=matrix)
    sums = RowSums(_columns(contenders, held), draws=draws, seed=seed)
    ranked = _rank(asked, held, contenders, seed)
    return _measure(asked, held, contenders, sums, ranked, float(matrix.max()))


def _check_rows(held: _Held) -> None:
    labels, classes = held.labels, len(held.classes)
    if len(labels) == 0:
        raise EvidenceError("there are no held-out rows: nothing can be measured; lengthen the holdout or the window")
    outside = int(((labels < 0) | (labels >= classes)).sum())
    if outside:
        raise EvidenceError(f"{outside} of {len(labels)} held-out labels are outside the {classes} classes")
    if twice := sorted(set(held.slices) & set(held.told)):
        raise EvidenceError(
            f"{', '.join(twice)} are slices and told besides: give each part one name in slices or told"
        )
    masks = {f"slice {name!r}": mask for name, mask in {**held.slices, **held.told}.items()}
    for name, column in {"ids": held.ids, **masks}.items():
        if column.shape != labels.shape:
            raise EvidenceError(
                f"{name} has shape {list(column.shape)}: expected {list(labels.shape)}, as the labels have"
            )


def _rank(asked: _Asked, held: _Held, contenders: Mapping[str, Contender], seed: int) -> Ranked:
    """What is known of two classes alone; nothing of more."""
    if len(held.classes) != 2:
        return {who: {} for who in contenders}
    parts = {WHOLE: np.ones(len(held.labels), dtype=bool), **held.parts}
    return rank(contenders, held.labels, parts, draws=asked.draws, seed=seed, confidence=asked.confidence)


def _measure(
    asked: _Asked,
    held: _Held,
    contenders: Mapping[str, Contender],
    sums: RowSums,
    ranked: Ranked,
    dearest: float,
) -> Evaluation:
    candidate = contenders["candidate"]
    opponents = [name for name in contenders if name != "candidate"]
    return Evaluation(
        bundle=asked.bundle,
        dataset=asked.dataset,
        champion=asked.champion,
        rows=len(held.labels),
        draws=asked.draws,
        confidence=asked.confidence,
        margin=asked.margin,
        slice_margin=asked.slice_margin,
        scores={name: _score(sums, name, held, ranked[name], asked.confidence) for name in contenders},
        comparisons={name: _compare(sums, name, held.masks, dearest, asked) for name in opponents},
        slice_rows={name: int(mask.sum()) for name, mask in held.slices.items()},
        classes=tuple(held.classes),
        confusion=confusion(candidate.decisions, held.labels, len(held.classes)),
        calibration=calibration_bins(candidate.probabilities, held.labels),
        most_wrong=_most_wrong(candidate, held),
        told_rows={name: int(mask.sum()) for name, mask in held.told.items()},
    )


def _columns(contenders: Mapping[str, Contender], held: _Held) -> dict[Hashable, NDArray[Any]]:
    labels, classes, masks = held.labels, len(held.classes), held.parts
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
        columns |= {(who, "slice cost", name): contender.costs * mask for name, mask in held.masks.items()}
    return columns


def _score(sums: RowSums, who: str, held: _Held, ranked: Mapping[str, RankingScores], confidence: float) -> Scores:
    return Scores(
        accuracy=interval(sums.mean((who, "right")), confidence),
        cost=interval(sums.mean((who, "cost")), confidence),
        log_loss=interval(sums.mean((who, "log loss")), confidence),
        ece=interval(sums.mean_of_sizes([(who, "bin", place) for place in range(BINS)]), confidence),
        classes={
            class_name: interval(sums.ratio((who, "class", index), ("rows", "class", index)), confidence)
            for index, class_name in held.present.items()
        },
        slices={
            name: interval(sums.ratio((who, "slice", name), ("rows", "slice", name)), confidence) for name in held.parts
        },
        ranking=ranked.get(WHOLE),
        ranking_slices={name: scores for name, scores in ranked.items() if name != WHOLE},
    )


def _compare(sums: RowSums, opponent: str, masks: Masks, dearest: float, asked: _Asked) -> Comparison:
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
        whole=difference(whole, confidence=asked.confidence, margin=asked.margin, rows=sums.rows),
        slices={
            name: difference(part, confidence=asked.confidence, margin=asked.slice_margin, rows=int(masks[name].sum()))
            for name, part in parts.items()
        },
    )


def _saved(opponent: Estimate, candidate: Estimate, dearest: float) -> Estimate:
    return Estimate(
        value=(opponent.value - candidate.value) / dearest,
        draws=(opponent.draws - candidate.draws) / dearest,
    )


def _most_wrong(candidate: Contender, held: _Held) -> tuple[WrongItem, ...]:
    wrong = np.flatnonzero(~candidate.right)
    given = candidate.probabilities[wrong, candidate.decisions[wrong]].astype(np.float64)
    return tuple(
        WrongItem(
            id=str(held.ids[row]),
            row=int(row),
            truth=held.classes[held.labels[row]],
            decision=held.classes[candidate.decisions[row]],
            confidence=float(candidate.probabilities[row, candidate.decisions[row]]),
        )
        for row in wrong[np.argsort(-given, kind="stable")[:MOST_WRONG]]
    )
