"""Exploration: what a dataset looks like before anybody trains on it; nothing here refuses anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from noria.errors import DatasetError
from noria.ml.correlations import Pair, Ties, correlate, tie_to_classes
from noria.ml.distributions import Categories, Distribution, categorize, distribute
from noria.ml.measures import measure
from noria.ml.nulls import Nulls, null_rows
from noria.ml.seasons import Season, find_seasons
from noria.schema import Schema
from noria.task import Rows

NO_CLASS = -1


@dataclass(frozen=True, kw_only=True)
class Missing:
    """A column of the schema, of any role, and its rows without a value."""

    name: str
    rows: int
    share: float


@dataclass(frozen=True, kw_only=True)
class Exploration:
    """`balance` counts rows by class, `unlabelled` those with no label or one that names no class.

    `start` and `end` are the first and last event time as ISO text in UTC, "" where there is none. Personal columns are
    counted for missing values and for nothing else; `unseen` names them, and what else has no distribution.
    """

    rows: int
    start: str
    end: str
    classes: tuple[str, ...]
    balance: tuple[int, ...]
    unlabelled: int
    missing: tuple[Missing, ...]
    distributions: tuple[Distribution, ...]
    categories: tuple[Categories, ...]
    unseen: tuple[str, ...]
    pairs: tuple[Pair, ...]
    ties: tuple[Ties, ...]
    seasons: tuple[Season, ...]


def explore(schema: Schema, rows: Rows, classes: Sequence[str], nulls: Nulls | None = None) -> Exploration:
    """Explore rows, as `Dataset.load` and `Dataset.nulls` give them; DatasetError where a column is absent."""
    absent = [column.name for column in schema.columns if column.name not in rows]
    if absent:
        raise DatasetError(f"the rows lack {', '.join(absent)}: expected every column of the schema")
    stated = nulls or {}
    lacking = {column.name: null_rows(rows[column.name], stated.get(column.name)) for column in schema.columns}
    labels = np.where(lacking[schema.label.name], NO_CLASS, rows[schema.label.name]).astype(np.int64)
    named = labels[(labels >= 0) & (labels < len(classes))]
    open_ = schema.time.personal == "none"
    times = rows[schema.time.name] if open_ else np.full(len(labels), "NaT", "datetime64[us]")
    known = times[~np.isnat(times)]
    measures = measure(schema, rows, nulls)
    texts = [column for column in schema.described if column.type == "string" and column.personal == "none"]
    seen = {each.name.partition(":")[0] for each in measures} | {column.name for column in texts}
    return Exploration(
        rows=len(labels),
        start=str(known.min()) if len(known) else "",
        end=str(known.max()) if len(known) else "",
        classes=tuple(classes),
        balance=tuple(np.bincount(named, minlength=len(classes)).tolist()),
        unlabelled=len(labels) - len(named),
        missing=tuple(
            Missing(name=name, rows=int(mask.sum()), share=float(mask.mean()) if len(mask) else 0.0)
            for name, mask in lacking.items()
        ),
        distributions=tuple(distribute(each) for each in measures),
        categories=tuple(categorize(column.name, rows[column.name], stated.get(column.name)) for column in texts),
        unseen=tuple(column.name for column in schema.described if column.name not in seen),
        pairs=correlate(measures),
        ties=tie_to_classes(measures, labels, len(classes)),
        seasons=find_seasons(times, labels, len(classes)),
    )
