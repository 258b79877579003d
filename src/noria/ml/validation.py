"""Validation: hold a dataset against its schema and its rules, and say which rows break them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from noria.errors import UsageError
from noria.ml.column_rules import check_column, check_columns_are_there
from noria.ml.content import hash_rows, leaked_rows, repeated_rows
from noria.ml.findings import Finding, Findings, Table
from noria.ml.leaks import telling_features
from noria.ml.nulls import Nulls
from noria.schema import Schema
from noria.task import Rows, Window

Places = NDArray[np.int64]
NO_ROWS = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, kw_only=True)
class ValidationRules:
    """What a dataset as a whole must keep to; shares lie in [0, 1] and are inclusive."""

    min_rows: int = 1000
    min_class_share: float = 0.01  # of the training rows, for each class
    maximum_duplicate_share: float = 0.005  # rows whose features an earlier row has already
    maximum_leakage_share: float = 0.001  # of held-out rows that training has as well, or the other way round
    maximum_feature_auc: float = 0.9  # of any feature alone: one that tells more is the label in disguise

    def __post_init__(self) -> None:
        for name in ("min_class_share", "maximum_duplicate_share", "maximum_leakage_share", "maximum_feature_auc"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise UsageError(f"rule {name} is {getattr(self, name)}: expected a share from 0 to 1")


@dataclass(frozen=True, kw_only=True)
class _Whole:
    """Everything that a rule about whole rows may look at."""

    table: Table
    classes: Sequence[str]
    rules: ValidationRules
    window: Window | None
    as_of: datetime | None
    training: Places
    holdout: Places


def validate(
    rows: Rows,
    schema: Schema,
    classes: Sequence[str],
    *,
    rules: ValidationRules,
    window: Window | None,
    training: Places,
    holdout: Places,
    nulls: Nulls | None = None,
    as_of: datetime | None = None,
) -> Findings:
    """Apply every rule and collect what each finds; a column that is missing or mistyped is left to its own finding.

    Args:
        rows: all rows of the dataset, in its order.
        schema: what each column must be.
        classes: names of the label's values.
        rules: limits for the dataset as a whole.
        window: event times that the dataset may hold; None where it has no bounds.
        training: places of all rows that training sees, its own validation rows among them.
        holdout: places of the rows that the gates are decided on.
        nulls: masks of missing values for columns whose type cannot hold one.
        as_of: moment at which every label has to have been known; None where it does not matter.
    """
    table, found = check_columns_are_there(rows, schema, nulls or {})
    for column in schema.columns:
        if column.name in table.usable:
            found += check_column(table, column)
    whole = _Whole(
        table=table, classes=classes, rules=rules, window=window, as_of=as_of, training=training, holdout=holdout
    )
    for rule in WHOLE_RULES:
        found += rule(whole)
    return Findings(rows=table.count, findings=tuple(found))


def _check_counts(whole: _Whole) -> Iterator[Finding]:
    for rule, count, least in (
        ("min-rows", whole.table.count, whole.rules.min_rows),
        ("empty-training", len(whole.training), 1),
        ("empty-holdout", len(whole.holdout), 1),
    ):
        if count < least:
            yield whole.table.find(rule, NO_ROWS, found=f"{count:,} rows", expected=f"at least {least:,} rows")


def _check_ids(whole: _Whole) -> Iterator[Finding]:
    column = whole.table.schema.id
    if column.name not in whole.table.usable:
        return
    there = np.flatnonzero(~whole.table.missing(column))
    _, codes = np.unique(whole.table.rows[column.name][there], return_inverse=True)
    twice = there[repeated_rows(codes.astype(np.uint64))]
    if len(twice):
        found = f"{len(twice):,} rows with the id of an earlier row"
        yield whole.table.find("duplicate-id", twice, found=found, expected="one row for each id", column=column)


def _check_times(whole: _Whole) -> Iterator[Finding]:
    column = whole.table.schema.time
    if column.name not in whole.table.usable:
        return
    there = np.flatnonzero(~whole.table.missing(column))
    times = whole.table.rows[column.name][there]
    early = there[times < np.maximum.accumulate(times)] if len(times) else there
    if len(early):
        found = f"{len(early):,} rows that lie before an earlier row"
        yield whole.table.find("time-order", early, found=found, expected="rows in event-time order", column=column)
    if whole.window is None:
        return
    edges = (whole.window.start, whole.window.end)
    start, end = (np.datetime64(edge.astimezone(UTC).replace(tzinfo=None), "us") for edge in edges)
    outside = there[(times < start) | (times >= end)]
    if len(outside):
        found = f"{len(outside):,} rows outside the window"
        yield whole.table.find("window", outside, found=found, expected=f"from {start}, before {end}", column=column)


def _check_known(whole: _Whole) -> Iterator[Finding]:
    column, time = whole.table.schema.known, whole.table.schema.time
    if column is None or not {column.name, time.name} <= whole.table.usable:
        return
    there = np.flatnonzero(~whole.table.missing(column) & ~whole.table.missing(time))
    known, times = whole.table.rows[column.name][there], whole.table.rows[time.name][there]
    before = there[known <= times]
    if len(before):
        found = f"{len(before):,} labels that were known when the question was asked"
        yield whole.table.find("known-early", before, found=found, expected=f"after {time.name}", column=column)
    if whole.as_of is None:
        return
    as_of = np.datetime64(whole.as_of.astimezone(UTC).replace(tzinfo=None), "us")
    late = there[known > as_of]
    if len(late):
        found = f"{len(late):,} labels that became known later"
        yield whole.table.find("known-late", late, found=found, expected=f"known by {as_of}", column=column)


def _check_disguises(whole: _Whole) -> Iterator[Finding]:
    label = whole.table.schema.label
    if label.name not in whole.table.usable:
        return
    # Context as well: by what is stamped too early there, people would judge a model that is not told it.
    features = [column for column in whole.table.schema.described if column.name in whole.table.usable]
    told = telling_features(
        whole.table.rows, features, whole.table.rows[label.name], training=whole.training, holdout=whole.holdout
    )
    for column in features:
        if told.get(column.name, 0.0) > whole.rules.maximum_feature_auc:
            found = f"alone it tells the label with an AUC of {told[column.name]:.3f}"
            expected = f"at most {whole.rules.maximum_feature_auc:.3f}; is its value known only after the question?"
            yield whole.table.find("disguise", NO_ROWS, found=found, expected=expected, column=column)


def _check_labels(whole: _Whole) -> Iterator[Finding]:
    column = whole.table.schema.label
    if column.name not in whole.table.usable:
        return
    labels, count = whole.table.rows[column.name], len(whole.classes)
    missing = whole.table.missing(column)
    outside = np.flatnonzero(~missing & ((labels < 0) | (labels >= count)))
    if len(outside):
        found, expected = f"{len(outside):,} labels that name no class", f"an index from 0 to {count - 1}"
        yield whole.table.find("label-class", outside, found=found, expected=expected, column=column)
    trained = labels[whole.training][~missing[whole.training]]
    trained = trained[(trained >= 0) & (trained < count)]
    rows = np.bincount(trained.astype(np.int64), minlength=count)
    least = max(whole.rules.min_class_share * len(trained), 1)
    for name, members in zip(whole.classes, rows.tolist(), strict=True):
        if members < least and len(trained):
            found = f"class {name!r} in {members:,} of {len(trained):,} training rows ({members / len(trained):.3%})"
            expected = f"at least {whole.rules.min_class_share:.3%} of the training rows, and one"
            yield whole.table.find("class-balance", NO_ROWS, found=found, expected=expected, column=column)


def _check_content(whole: _Whole) -> Iterator[Finding]:
    table, rules = whole.table, whole.rules
    if not {column.name for column in table.schema.features} <= table.usable or not table.count:
        return
    hashes = hash_rows(table.rows, table.schema, table.nulls)
    twice = repeated_rows(hashes)
    if len(twice):
        share = len(twice) / table.count
        yield table.find(
            "duplicate-content",
            twice,
            found=f"{len(twice):,} rows ({share:.3%}) with the features of an earlier row",
            expected=f"at most {rules.maximum_duplicate_share:.3%} of the rows",
            severity="violation" if share > rules.maximum_duplicate_share else "notice",
        )
    leaked = leaked_rows(hashes, whole.training, whole.holdout)
    if len(leaked):
        exposed = leaked_rows(hashes, whole.holdout, whole.training)
        share = max(len(leaked) / len(whole.training), len(exposed) / len(whole.holdout))
        yield table.find(
            "leakage",
            leaked,
            found=f"{len(leaked):,} training rows with the features of {len(exposed):,} held-out rows ({share:.3%})",
            expected=f"at most {rules.maximum_leakage_share:.3%} of either",
            severity="violation" if share > rules.maximum_leakage_share else "notice",
        )


WHOLE_RULES: tuple[Callable[[_Whole], Iterator[Finding]], ...] = (
    _check_counts,
    _check_ids,
    _check_times,
    _check_labels,
    _check_content,
    _check_known,
    _check_disguises,
)
