"""Scores: what is measured about a contender on held-out rows, each figure with its interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A figure and its two-sided bootstrap interval at the evaluation's confidence."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class RankingScores:
    """A contender of two classes on some rows; `positives` are those of the second class, which is looked for.

    None for a figure that these rows do not have, as there is no AUC where all are of one class.
    """

    rows: int
    positives: int
    auc: Interval | None
    average_precision: Interval | None
    log_loss: Interval | None
    ece: Interval | None


@dataclass(frozen=True, kw_only=True)
class Scores:
    """One contender's figures. Shares lie in [0, 1], log loss is in nats, decisions are of minimal expected cost."""

    accuracy: Interval
    cost: Interval  # mean cost of a row's decision, in the unit of the task's costs
    log_loss: Interval
    ece: Interval
    classes: Mapping[str, Interval]  # recall by class name; a class without rows is left out
    slices: Mapping[str, Interval]  # accuracy by slice or part that is told; one without rows is left out
    # Where there are two classes: on all rows, and by slice name. Evaluations of before have neither.
    ranking: RankingScores | None = None
    ranking_slices: Mapping[str, RankingScores] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What the candidate's decisions save on the same rows (paired), as a share of the dearest error.

    That is mean cost of the opponent minus mean cost of the candidate, divided by the largest cost: where every error
    costs the same, it is the accuracy of the candidate minus the accuracy of the opponent.

    `lower` is the one-sided lower confidence bound of the difference, and `p_worse` the one-sided bootstrap p-value of
    the hypothesis that the candidate is not worse than the opponent by more than the margin it was computed for.
    """

    interval: Interval
    lower: float
    p_worse: float
    rows: int


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The candidate against one opponent, as a whole and by slice."""

    whole: Difference
    slices: Mapping[str, Difference]


@dataclass(frozen=True, kw_only=True)
class CalibrationBin:
    """The rows whose confidence fell into one of the equal-width bins."""

    low: float
    high: float
    rows: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, kw_only=True)
class WrongItem:
    """A row that the candidate got wrong with high confidence; `row` is its place in the held-out rows."""

    id: str
    row: int
    truth: str
    decision: str
    confidence: float


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Everything that was measured in one evaluation; keys of `scores`: candidate, champion, rule, no-skill."""

    bundle: str  # the candidate's digest
    dataset: str  # the dataset's digest
    champion: str  # the champion's digest, "" where there is none
    rows: int
    draws: int
    confidence: float
    margin: float
    slice_margin: float
    scores: Mapping[str, Scores]
    comparisons: Mapping[str, Comparison]  # candidate against champion, rule, no-skill
    slice_rows: Mapping[str, int]
    classes: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]  # confusion[truth][decision] of the candidate, in rows
    calibration: tuple[CalibrationBin, ...]
    most_wrong: tuple[WrongItem, ...]
    # Parts that no gate judges, by name, with their rows; their figures stand with those of the slices.
    told_rows: Mapping[str, int] = field(default_factory=dict)
    # How many of the rows lie in the time that the champion learned from: on these it has an advantage.
    champion_seen: int = 0
