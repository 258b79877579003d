"""The network of flights: any row of the schema goes in, the same seed gives the same network, options are checked."""

import numpy as np
import pytest
import torch
from known_rows import make_rows
from torch.nn.functional import cross_entropy

from noria.errors import UsageError
from noria.ml.export import check_parity, export_onnx
from noria.ml.feeding import compute_logits, read_features
from noria.schema import Column, Schema
from noria.tasks.flights.network import FARTHEST, build_network
from noria.tasks.flights.schema import ROWS


def build(options=None, seed=1):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_network(ROWS, options or {})


def test_it_takes_every_row_of_the_schema_in_torch_and_as_a_graph():
    network = build()
    rows = make_rows(ROWS, 700)
    with torch.no_grad():
        network.train()(*read_features(ROWS, rows))  # as training gives its norms the statistics of rows
    model = export_onnx(network.eval(), ROWS, 1.3)
    assert check_parity(network, 1.3, ROWS, model, rows) < 1e-5
    assert check_parity(network, 1.3, ROWS, model, {name: values[:1] for name, values in rows.items()}) < 1e-5


def test_one_seed_gives_one_network():
    first, same, other = (build(seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_it_learns_from_texts_hours_numbers_and_from_what_is_missing():
    rows = make_rows(ROWS, 1500)
    origin, gust = rows["origin"] == ROWS["origin"].choices[0], np.isnan(rows["weather_wind_gust"])
    late = np.where(rows["scheduled_hour"] % 2 == 0, origin, gust).astype(np.int64)  # no straight line finds the hours
    network, features = build({"dropout": 0.0, "width": 64}), read_features(ROWS, rows)
    labels = torch.from_numpy(late)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    network.train()
    for _ in range(60):
        optimizer.zero_grad()
        cross_entropy(network(*features), labels).backward()
        optimizer.step()
    assert (compute_logits(network, features).argmax(1) == late).mean() > 0.95


def test_a_number_that_training_never_saw_does_not_swamp_the_rest():
    network = build()
    rows = make_rows(ROWS, 500)
    rows["distance"][:] = 1000.0  # a norm of no deviation would stretch any other value without end
    features = read_features(ROWS, rows)
    with torch.no_grad():
        for _ in range(50):
            network.train()(*features)
    rows["distance"][:] = 12_000.0
    features = read_features(ROWS, rows)
    numbers = [values for values, is_step in zip(features, network.is_step, strict=True) if not is_step]
    spread = network.eval().spread(network.scaling(*numbers))
    assert spread.abs().max() == FARTHEST


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"width": 0}, "width is 0: expected a whole number from 1"),
        ({"depth": 1.5}, "depth is 1.5: expected a whole number from 1"),
        ({"embedding": True}, "embedding is True: expected a whole number from 1"),
        ({"dropout": 1}, "dropout is 1: expected 0 <= dropout < 1"),
        ({"widht": 8}, "unknown network options widht: there are width, depth, embedding, dropout"),
    ],
)
def test_a_wrong_option_is_refused_with_what_is_allowed(options, said):
    with pytest.raises(UsageError, match=said):
        build(options)


def test_options_say_what_the_network_is_like():
    network = build({"width": 10, "depth": 3, "embedding": 2})
    assert [tuple(part.weight.shape) for part in network.layers if isinstance(part, torch.nn.Linear)][1:] == [
        (10, 10), (10, 10), (2, 10),
    ]  # fmt: skip
    assert {step.table.weight.shape[1] for step in network.steps} <= {1, 2}


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (Column(name="dest", type="string", role="feature"), "'dest' is a string: a tabular network takes numbers"),
        (Column(name="weekday", type="int64", role="feature"), "'weekday' is to be embedded: expected whole numbers"),
        (
            Column(name="stops", type="string", role="feature", shape=(2,), choices=("EWR",)),
            r"'stops' has shape \[2\]: expected one value",
        ),
    ],
)
def test_a_feature_that_it_cannot_take_is_named(column, said):
    with pytest.raises(UsageError, match=said):
        build_network(Schema(columns=(ROWS.id, ROWS.time, column, ROWS.label)), {})
