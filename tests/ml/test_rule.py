"""A rule's graph answers as the rule does, and a rule that has none is told so."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from noria.errors import TrainingError
from noria.ml.inference import Session, check_fit, predict
from noria.ml.rule import NearestMeanRule, export_rule, fit_nearest_mean_rule
from noria.schema import Column, Schema

COLUMNS = (
    Column(name="picture", type="uint8", role="feature", shape=(5, 4), minimum=0, maximum=255),
    Column(name="speed", type="float32", role="feature"),
    Column(name="instant", type="float64", role="feature"),
    Column(name="shelf", type="int64", role="feature", shape=(2,)),
    Column(name="new", type="bool", role="feature"),
    Column(name="name", type="string", role="feature"),
)
SCHEMA = Schema(
    columns=(
        Column(name="id", type="string", role="id"),
        Column(name="time", type="timestamp", role="time"),
        *COLUMNS,
        Column(name="label", type="int64", role="label"),
    )
)
NUMBERS = COLUMNS[:-1]
TASK: Any = SimpleNamespace(name="things", schema=SCHEMA)


def rows_of(count: int, seed: int = 0) -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(seed)
    return {
        "picture": random.integers(0, 256, (count, 5, 4), dtype=np.uint8),
        "speed": random.normal(size=count).astype(np.float32),
        "instant": 1.7e9 + random.normal(size=count) * 1e5,  # float32 would leave it no digits
        "shelf": random.integers(-1000, 1000, (count, 2)),
        "new": random.integers(0, 2, count).astype(bool),
        "name": np.array(["x"] * count, object),
    }


def fitted(columns: tuple[Column, ...], classes: int = 3, seed: int = 0) -> NearestMeanRule:
    labels = np.random.default_rng(seed).integers(0, 3, 500)
    return fit_nearest_mean_rule(columns, rows_of(500, seed), labels, classes)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from(NUMBERS), min_size=1, unique_by=lambda column: column.name), st.integers(0, 9))
def test_the_graph_answers_as_the_rule_does(columns: list[Column], seed: int) -> None:
    rule = fitted(tuple(columns), seed=seed)
    session = Session.load(rule.write_graph(SCHEMA))
    check_fit(session, SCHEMA)
    rows = rows_of(700, seed=seed + 1)
    np.testing.assert_allclose(predict(session, rows), rule(rows), atol=1e-5)


def test_the_graph_is_a_sound_one_and_equal_rules_give_equal_bytes() -> None:
    graph = fitted(NUMBERS).write_graph(SCHEMA)
    onnx.checker.check_model(onnx.load_model_from_string(graph), full_check=True)
    assert graph == fitted(NUMBERS).write_graph(SCHEMA)


def test_a_class_without_training_rows_has_no_share_in_the_graph_either() -> None:
    found = predict(Session.load(fitted(NUMBERS, classes=5).write_graph(SCHEMA)), rows_of(9))
    assert found.shape == (9, 5)
    assert (found[:, 3:] == 0).all()


def test_what_is_exported_was_held_against_the_rule() -> None:
    rule = fitted(NUMBERS)
    assert export_rule(TASK, rule, rows_of(50)) == rule.write_graph(SCHEMA)


def test_a_rule_that_cannot_be_written_as_a_graph_is_told_what_is_expected() -> None:
    with pytest.raises(TrainingError, match=r"task things declares a fallback, but its rule \(function\) has no write"):
        export_rule(TASK, lambda rows: np.ones((len(rows["new"]), 3)) / 3, rows_of(5))


class Liar:
    """A rule whose graph is another one's."""

    def __init__(self, graph: bytes) -> None:
        self.graph = graph

    def __call__(self, rows: Any) -> NDArray[np.float64]:
        return np.tile([1.0, 0.0, 0.0], (len(rows["new"]), 1))

    def write_graph(self, schema: Schema) -> bytes:
        return self.graph


def test_a_graph_that_answers_otherwise_does_not_fit_or_is_none_is_refused() -> None:
    others = Schema(columns=(*SCHEMA.columns[:2], NUMBERS[1], SCHEMA.columns[-1]))
    for graph, complaint in (
        (fitted(NUMBERS).write_graph(SCHEMA), "differs from it by"),
        (fitted(NUMBERS, classes=4).write_graph(SCHEMA), "differs from it by inf"),
        (fitted(NUMBERS[1:2]).write_graph(others), "cannot be used: the model takes"),
        (b"no graph", "cannot be used: model of 8 bytes"),
    ):
        with pytest.raises(TrainingError, match=complaint):
            export_rule(TASK, Liar(graph), rows_of(20))


def test_a_column_that_holds_no_numbers_is_named() -> None:
    with pytest.raises(TrainingError, match="column 'name' is a string"):
        fitted(COLUMNS)


def named(name: str) -> tuple[Column, ...]:
    return (
        Column(name=name, type="float32", role="feature"),
        Column(name="rule/weights", type="float32", role="feature"),
    )


def test_a_feature_may_have_any_name_but_the_answers() -> None:
    values = np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32)
    labels = (values[:, 0] > 0).astype(np.int64)
    for name in ("weights", "scores", "part 0", "rule//side by side"):
        columns = named(name)
        rows = {column.name: values[:, place] for place, column in enumerate(columns)}
        schema = Schema(columns=(*SCHEMA.columns[:2], *columns, SCHEMA.columns[-1]))
        rule = fit_nearest_mean_rule(columns, rows, labels, 2)
        export_rule(SimpleNamespace(name="things", schema=schema), rule, rows)  # type: ignore[arg-type]
    columns = named("probabilities")
    schema = Schema(columns=(*SCHEMA.columns[:2], *columns, SCHEMA.columns[-1]))
    rule = fit_nearest_mean_rule(columns, {column.name: values[:, 0] for column in columns}, labels, 2)
    with pytest.raises(TrainingError, match="give it another name"):
        rule.write_graph(schema)
