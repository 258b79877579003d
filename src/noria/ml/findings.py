"""Findings: what is wrong with data, which rows show it, and how that may be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from noria.ml.nulls import Mask, Nulls, null_rows
from noria.schema import Column, Schema
from noria.task import Rows

EXAMPLES = 100
WIDTH = 60  # characters of a printed value
MASKED = "(masked)"

Severity = Literal["violation", "notice"]


@dataclass(frozen=True, kw_only=True)
class Example:
    """One row that shows a finding; what a personal column holds is masked. `row` is its place in the dataset."""

    row: int
    id: str
    time: str
    value: str


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One rule that was broken (violation) or that a person should know of (notice); `column` is "" for a whole row."""

    rule: str
    column: str
    severity: Severity
    rows: int
    found: str
    expected: str
    examples: tuple[Example, ...]


@dataclass(frozen=True, kw_only=True)
class Findings:
    """All that validation found in a dataset of `rows` rows."""

    rows: int
    findings: tuple[Finding, ...]

    @property
    def violations(self) -> tuple[Finding, ...]:
        """What stops a run."""
        return tuple(finding for finding in self.findings if finding.severity == "violation")

    @property
    def notices(self) -> tuple[Finding, ...]:
        """What a person should know of."""
        return tuple(finding for finding in self.findings if finding.severity == "notice")


@dataclass(frozen=True, kw_only=True)
class Table:
    """The rows under validation with their schema; `usable` columns are there and have the right type and shape."""

    rows: Rows
    schema: Schema
    nulls: Nulls
    usable: frozenset[str]
    count: int

    def missing(self, column: Column) -> Mask:
        """Rows of the column that have no value."""
        return null_rows(self.rows[column.name], self.nulls.get(column.name))

    def find(
        self,
        rule: str,
        places: NDArray[np.int64],
        *,
        found: str,
        expected: str,
        column: Column | None = None,
        severity: Severity = "violation",
    ) -> Finding:
        """Make a finding about the rows at `places`, with the first hundred as examples."""
        return Finding(
            rule=rule,
            column=column.name if column else "",
            severity=severity,
            rows=len(places),
            found=found,
            expected=expected,
            examples=tuple(self._example(int(place), column) for place in places[:EXAMPLES]),
        )

    def _example(self, place: int, column: Column | None) -> Example:
        return Example(
            row=place,
            id=self._show(self.schema.id, place),
            time=self._show(self.schema.time, place),
            value=self._show(column, place) if column else "",
        )

    def _show(self, column: Column, place: int) -> str:
        if column.name not in self.usable:
            return ""
        return MASKED if column.personal != "none" else show_value(self.rows[column.name][place])


def show_value(value: Any) -> str:
    """Print one value in at most 60 characters; an array by its type, shape and range."""
    if isinstance(value, np.ndarray) and value.ndim > 0:
        finite = value[np.isfinite(value)] if value.dtype.kind == "f" else value
        span = f" from {finite.min()} to {finite.max()}" if finite.size and value.dtype.kind in "uifb" else ""
        return f"{value.dtype} {list(value.shape)}{span}"
    text = str(value)
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"
