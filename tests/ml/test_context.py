"""Context: looked at wherever features are, and nowhere where a model learns, is asked, or rows are compared."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from noria.errors import UsageError
from noria.ml.content import hash_rows
from noria.ml.dictionary import dictionary
from noria.ml.exploration import explore
from noria.ml.feeding import read_features
from noria.ml.profile import describe
from noria.ml.splits import split_columns
from noria.ml.validation import ValidationRules, validate
from noria.schema import Column, Role, Schema
from noria.task import Window

ROWS = 2000
CLASSES = ("dry", "wet")
WINDOW = Window(start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2027, 1, 1, tzinfo=UTC))


def schema_with(role: Role) -> Schema:
    """Two columns of this role beside a feature."""
    return Schema(
        columns=(
            Column(name="id", type="string", role="id"),
            Column(name="time", type="timestamp", role="time"),
            Column(name="river", type="float32", role="feature", minimum=0, maximum=1),
            Column(name="rain", type="float64", role=role, minimum=0, maximum=10),
            Column(name="site", type="string", role=role, choices=("north", "south")),
            Column(name="label", type="int64", role="label", minimum=0, maximum=1),
        )
    )


def rows_of() -> dict[str, np.ndarray[Any, Any]]:
    random = np.random.default_rng(4)
    labels = np.arange(ROWS) % 2
    return {
        "id": np.array([f"day-{row}" for row in range(ROWS)], object),
        "time": np.datetime64("2026-01-01", "us") + np.arange(ROWS) * np.timedelta64(1, "h"),
        "river": random.random(ROWS).astype(np.float32),
        "rain": 5.0 * labels + random.random(ROWS),  # it tells the label
        "site": np.array(["north", "south", "south"], object)[np.arange(ROWS) % 3],
        "label": labels,
    }


def find(role: Role, rows: dict[str, np.ndarray[Any, Any]]) -> list[tuple[str, str]]:
    found = validate(
        rows, schema_with(role), CLASSES, rules=ValidationRules(), window=WINDOW,
        training=np.arange(1500), holdout=np.arange(1500, ROWS),
    )  # fmt: skip
    return [(broken.rule, broken.column) for broken in found.violations]


def test_context_is_described_explored_and_checked_as_features_are() -> None:
    rows, answers = rows_of(), np.full((ROWS, 2), 0.5)
    context, feature = schema_with("context"), schema_with("feature")
    assert explore(context, rows, CLASSES) == explore(feature, rows, CLASSES)
    assert describe(context, rows, answers) == describe(feature, rows, answers)
    assert find("context", rows) == find("feature", rows) == [("disguise", "rain")]
    rows["rain"][3] = 11.0
    rows["site"][4] = "west"
    assert find("context", rows) == find("feature", rows)
    assert {column for _, column in find("context", rows)} == {"rain", "site"}
    lines = zip(dictionary(context, rows), dictionary(feature, rows), strict=True)
    assert [line.name for line, other in lines if line != replace(other, role=line.role)] == []


def test_rows_are_equal_and_models_are_fed_whatever_it_says() -> None:
    rows, schema = rows_of(), schema_with("context")
    others = {**rows, "rain": rows["rain"][::-1], "site": rows["site"][::-1]}
    assert [column.name for column in schema.features] == ["river"]
    assert len(read_features(schema, rows)) == 1
    np.testing.assert_array_equal(hash_rows(rows, schema), hash_rows(others, schema))
    assert split_columns(schema) == ("time",)


def test_rows_of_a_server_may_lack_it_and_a_schema_of_nothing_else_is_refused() -> None:
    rows = {name: values for name, values in rows_of().items() if name in ("time", "river")}
    found = describe(schema_with("context"), rows, np.full((ROWS, 2), 0.5))
    assert {column.name: column.nulls for column in found.columns}["rain"] == ROWS
    columns = [column for column in schema_with("context").columns if column.role != "feature"]
    with pytest.raises(UsageError, match="no column of role 'feature'"):
        Schema(columns=tuple(columns))
