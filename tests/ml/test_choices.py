"""Choices: a text means the same place in training and in the graph, and what a model does not know is told."""

import msgspec
import numpy as np
import pytest
import torch
from torch import nn

from noria.errors import TrainingError, UsageError
from noria.ml.choices import place_texts
from noria.ml.column_rules import check_column, check_columns_are_there
from noria.ml.export import check_parity, export_onnx
from noria.ml.feeding import read_features
from noria.ml.inference import Session, check_fit, predict
from noria.ml.profile import describe
from noria.schema import Column, Schema

CARRIERS = ("UA", "B6", "Ünïted", "place of maker")


def column(**more):
    return Column(**({"name": "carrier", "type": "string", "role": "feature", "choices": CARRIERS} | more))


def schema_of(*features):
    return Schema(
        columns=(
            Column(name="id", type="string", role="id"),
            Column(name="time", type="timestamp", role="time"),
            *features,
            Column(name="label", type="int64", role="label"),
        )
    )


SCHEMA = schema_of(
    column(maximum_null_share=0.5),
    Column(name="place of carrier's", type="float32", role="feature"),
    column(name="stops", shape=(2,), choices=("EWR", "JFK"), maximum_null_share=1.0),
)


def texts(*values):
    array = np.empty(len(values), object)
    array[:] = values
    return array


class Embedding(nn.Module):
    def __init__(self):
        super().__init__()
        self.carriers, self.stops = nn.Embedding(len(CARRIERS) + 1, 3), nn.Embedding(3, 2)
        self.layers = nn.Linear(3 + 1 + 4, 2)

    def forward(self, carriers, number, stops):
        parts = [self.carriers(carriers), number.unsqueeze(1), self.stops(stops).flatten(1)]
        return self.layers(torch.cat(parts, dim=1))


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return Embedding().eval()


def rows_of(count, seed=1):
    draw = np.random.default_rng(seed)
    return {
        "carrier": draw.choice(texts(*CARRIERS, None, "", "never seen"), count),
        "place of carrier's": draw.normal(size=count).astype(np.float32),
        "stops": draw.choice(texts("EWR", "JFK", "LGA", None), (count, 2)),
    }


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"type": "int64"}, "'carrier' has choices and type int64: only a string column"),
        ({"choices": ("UA", "")}, "'carrier' has an empty text among its choices"),
        ({"choices": ("UA", "B6", "UA")}, "'carrier' has the choices UA twice"),
    ],
)
def test_choices_that_can_mean_nothing_are_refused(more, said):
    with pytest.raises(UsageError, match=said):
        column(**more)


def test_a_schema_written_before_there_were_choices_is_read():
    old = b'{"name":"carrier","type":"string","role":"feature","shape":[]}'
    assert msgspec.json.decode(old, type=Column) == Column(name="carrier", type="string", role="feature")
    assert msgspec.json.decode(msgspec.json.encode(SCHEMA), type=Schema) == SCHEMA


def test_texts_become_the_places_of_their_choices_and_0_where_there_is_none():
    values = texts("B6", "UA", None, "", "XX", "Ünïted")
    assert place_texts(column(), values).tolist() == [2, 1, 0, 0, 0, 3]
    (fed,) = read_features(schema_of(column()), {"carrier": values})
    assert (fed.dtype, fed.tolist()) == (torch.int64, [2, 1, 0, 0, 0, 3])


def test_a_text_without_choices_is_refused_by_name():
    with pytest.raises(TrainingError, match=r"'carrier' has values of type object.*give the column its `choices`"):
        read_features(schema_of(column(choices=())), {"carrier": texts("UA")})


def test_the_graph_takes_raw_texts_and_answers_as_the_network_does(network):
    model = export_onnx(network, SCHEMA, 1.5)
    session = Session.load(model)
    check_fit(session, SCHEMA)
    assert [str(spec) for spec in session.inputs] == [
        "carrier object (any)", "place of carrier's float32 (any)", "stops object (any, 2)",
    ]  # fmt: skip
    for rows in (1, 2, 700):
        assert check_parity(network, 1.5, SCHEMA, model, rows_of(rows)) < 1e-6
    assert model == export_onnx(network, SCHEMA, 1.5)


@pytest.mark.parametrize("name", ["place of carrier", "place of text 0", "place of text", "place of text/ 0"])
def test_a_feature_may_have_any_name_beside_a_text(name):
    schema = schema_of(SCHEMA.features[0], Column(name=name, type="float32", role="feature"), SCHEMA.features[2])
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = Embedding().eval()
    rows = rows_of(200)
    rows[name] = rows.pop("place of carrier's")
    assert check_parity(network, 1.0, schema, export_onnx(network, schema, 1.0), rows) < 1e-5


def test_parity_sees_a_choice_at_another_place(network):
    moved = schema_of(column(choices=CARRIERS[::-1], maximum_null_share=0.5), *SCHEMA.features[1:])
    assert check_parity(network, 1.0, SCHEMA, export_onnx(network, moved, 1.0), rows_of(50)) > 1e-3


def test_missing_empty_and_unknown_texts_are_one_to_the_graph(network):
    rows = {**rows_of(3), "carrier": texts(None, "", "never seen")}
    rows |= {name: np.repeat(rows[name][:1], 3, axis=0) for name in ("place of carrier's", "stops")}
    first, *others = predict(Session.load(export_onnx(network, SCHEMA, 1.0)), rows)
    assert all((other == first).all() for other in others)


@pytest.mark.parametrize(
    ("share", "values", "found"),
    [
        (0.5, ("UA", "B6", "UA", "XX"), [("choices", "notice", 1)]),
        (0.5, ("UA", None, "XX", "YY"), [("choices", "violation", 2)]),
        (0.0, ("UA", "B6", "UA", "XX"), [("choices", "violation", 1)]),
        (0.5, ("UA", None, "", "B6"), []),
    ],
)
def test_a_text_that_is_no_choice_counts_as_missing_against_the_schemas_share(share, values, found):
    schema = schema_of(column(maximum_null_share=share))
    rows = {
        "id": texts("a", "b", "c", "d"),
        "time": np.arange(4).astype("datetime64[us]"),
        "carrier": texts(*values),
        "label": np.zeros(4, np.int64),
    }
    table, problems = check_columns_are_there(rows, schema, {})
    assert not problems
    findings = list(check_column(table, schema["carrier"]))
    assert [(finding.rule, finding.severity, finding.rows) for finding in findings] == found


def test_a_profile_counts_an_empty_text_of_a_request_as_a_missing_one_of_a_dataset():
    schema, shares = schema_of(column(maximum_null_share=0.5)), np.full((4, 2), 0.5)
    asked = describe(schema, {"carrier": texts("UA", "", "XX", "")}, shares)
    stored = describe(schema, {"carrier": texts("UA", None, "XX", None)}, shares)
    assert asked == stored
    (profile,) = [each for each in asked.columns if each.name == "carrier"]
    assert (profile.nulls, profile.series[0].rows) == (2, 2)


def test_a_missing_text_is_not_the_word_for_it():
    schema = schema_of(column(choices=("None", "nan", "UA"), maximum_null_share=0.5), *SCHEMA.features[1:])
    with torch.random.fork_rng():
        torch.manual_seed(2)
        network = Embedding().eval()
    rows = {**rows_of(4), "carrier": texts(None, "None", "nan", "UA")}
    assert check_parity(network, 1.0, schema, export_onnx(network, schema, 1.0), rows) < 1e-6
