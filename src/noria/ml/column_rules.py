"""Column rules: what may stand in one column, by its schema."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noria.ml.choices import unknown_texts
from noria.ml.findings import Finding, Table
from noria.ml.nulls import Nulls, lay_flat, nonfinite_rows
from noria.schema import Column, Schema
from noria.task import Rows

NO_ROWS = np.empty(0, dtype=np.int64)


def check_columns_are_there(rows: Rows, schema: Schema, nulls: Nulls) -> tuple[Table, list[Finding]]:
    """Find columns that are missing, unknown, of another type, shape or length; the table knows which can be used."""
    count = len(rows[schema.id.name]) if schema.id.name in rows else max(map(len, rows.values()), default=0)
    problems = {column.name: _misfit(column, rows, nulls, count) for column in schema.columns}
    problems |= {name: ("unknown column", f"no column {name!r}") for name in rows if name not in problems}
    usable = frozenset(name for name, problem in problems.items() if problem is None)
    table = Table(rows=rows, schema=schema, nulls=nulls, usable=usable, count=count)
    found = [
        Finding(rule="schema", column=name, severity="violation", rows=count, found=problem[0], expected=problem[1],
                examples=())
        for name, problem in problems.items()
        if problem is not None
    ]  # fmt: skip
    return table, found


def check_column(table: Table, column: Column) -> Iterator[Finding]:
    """Apply every rule that concerns this column alone."""
    values, missing = table.rows[column.name], table.missing(column)
    share = float(missing.mean()) if table.count else 0.0
    if share > column.maximum_null_share:
        found, expected = f"{int(missing.sum()):,} nulls ({share:.3%})", f"at most {column.maximum_null_share:.3%}"
        yield table.find("nulls", np.flatnonzero(missing), found=found, expected=expected, column=column)
    yield from _check_choices(table, column, values, missing)
    bad = np.flatnonzero(nonfinite_rows(values, missing))
    if len(bad):
        found = f"{len(bad):,} rows that are infinite or in part no number"
        yield table.find("non-finite", bad, found=found, expected="finite numbers", column=column)
    outside = np.flatnonzero(_out_of_range(values, column) & ~missing)
    if len(outside):
        low, high = ("any" if bound is None else f"{bound:g}" for bound in (column.minimum, column.maximum))
        found, expected = f"{len(outside):,} rows out of range", f"{low} to {high} {column.unit}".rstrip()
        yield table.find("range", outside, found=found, expected=expected, column=column)


def _check_choices(table: Table, column: Column, values: NDArray[Any], missing: NDArray[np.bool_]) -> Iterator[Finding]:
    """A text that is no choice is to a model the same as a missing one, so both together have one limit."""
    strange = unknown_texts(column, values)
    if not strange.any():
        return
    share = float((strange | missing).mean())
    yield table.find(
        "choices",
        np.flatnonzero(strange),
        found=f"{int(strange.sum()):,} rows with a text that is no choice ({share:.3%} with those that are missing)",
        expected=f"at most {column.maximum_null_share:.3%} beside the {len(column.choices)} choices",
        column=column,
        severity="violation" if share > column.maximum_null_share else "notice",
    )


def _misfit(column: Column, rows: Rows, nulls: Nulls, count: int) -> tuple[str, str] | None:
    """What was found and expected where the column cannot be used."""
    if column.name not in rows:
        return "no such column", f"a column of {column.type} {list(column.shape)}"
    values = rows[column.name]
    if len(values) != count or (column.name in nulls and nulls[column.name].shape != (count,)):
        return f"{len(values):,} values or another number of null marks", f"{count:,}, one for each row"
    if values.shape[1:] != column.shape:
        return f"values of shape {list(values.shape[1:])}", f"shape {list(column.shape)}"
    if values.dtype != column.dtype:
        return f"type {values.dtype}", f"type {column.dtype} ({column.type})"
    if column.type == "string":
        others = {type(value).__name__ for value in values.ravel().tolist() if not isinstance(value, str | None)}
        if others:
            return f"values of type {', '.join(sorted(others))}", "strings"
    return None


def _out_of_range(values: NDArray[Any], column: Column) -> NDArray[np.bool_]:
    outside = np.zeros(len(values), dtype=bool)
    if values.dtype.kind not in "uif" or not values.size:
        return outside
    laid = lay_flat(values)
    # A look at the extremes spares the images a comparison of each pixel; infinities are the non-finite rule's matter.
    if column.minimum is not None and not np.fmin.reduce(laid, axis=None) >= column.minimum:
        outside |= ((laid < column.minimum) & (laid != -np.inf)).any(axis=1)
    if column.maximum is not None and not np.fmax.reduce(laid, axis=None) <= column.maximum:
        outside |= ((laid > column.maximum) & (laid != np.inf)).any(axis=1)
    return outside
