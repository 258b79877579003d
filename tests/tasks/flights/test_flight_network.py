"""The network of flights: any row of the schema goes in, the same seed gives the same network, options are checked."""

import numpy as np
import pytest
import torch
from known_rows import make_rows
from torch.nn.functional import cross_entropy

from noria.errors import UsageError
from noria.ml.export import check_parity, export_onnx
from noria.ml.feeding import compute_logits, read_features
from noria.ml.loop import train
from noria.ml.progress import silent
from noria.ml.training import TrainingParameters
from noria.schema import Column, Schema
from noria.tasks.flights.levels import LEVELS, Levels
from noria.tasks.flights.network import build_network
from noria.tasks.flights.schema import ROWS
from noria.tasks.flights.task import Flights


class NoCheckpoints:
    def load(self):
        return None

    def save(self, data):
        pass


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
    network, features = (
        build({"dropout": 0.0, "input_dropout": 0.0, "width": 64, "members": 1}),
        read_features(ROWS, rows),
    )
    network.see(features)
    labels = torch.from_numpy(late)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    network.train()
    for _ in range(60):
        optimizer.zero_grad()
        cross_entropy(network(*features), labels).backward()
        optimizer.step()
    assert (compute_logits(network, features).argmax(1) == late).mean() > 0.95


def test_a_number_becomes_its_levels_between_the_quantiles_of_the_rows_that_were_seen():
    levels = Levels([Column(name="delay", type="float64", role="feature", minimum=-2000, maximum=2000)])
    seen = torch.arange(1001, dtype=torch.float64)
    levels.see([seen])
    found = levels(torch.tensor([-2000.0, 0.0, 250.0, 1000.0, 1999.0], dtype=torch.float64))
    assert found.shape == (5, LEVELS)
    assert found[0].tolist() == found[1].tolist() == [-0.5] * LEVELS
    assert found[3].tolist() == found[4].tolist() == [0.5] * LEVELS  # what was never seen does not swamp the rest
    assert found[2].tolist() == pytest.approx([0.5] * 6 + [0.0] + [-0.5] * 11)  # half way from 200 to 300


def test_what_is_missing_is_the_median_and_marked_and_a_column_without_values_keeps_its_bounds():
    columns = [
        Column(name=name, type="float64", role="feature", minimum=0, maximum=10, maximum_null_share=0.5)
        for name in ("some", "none")
    ]
    levels, nan = Levels(columns), float("nan")
    some = torch.tensor([1.0, 2.0, 3.0, nan], dtype=torch.float64)
    levels.see([some, torch.full((4,), nan, dtype=torch.float64)])
    assert levels.edges[1, -1] == 10
    found = levels(some, torch.full((4,), nan, dtype=torch.float64))
    assert found[3, :LEVELS].tolist() == found[1, :LEVELS].tolist()
    assert found[:, -2:].tolist() == [[0, 1], [0, 1], [0, 1], [1, 1]]


def test_training_shows_the_network_its_training_rows_alone():
    rows = {**make_rows(ROWS, 400), "label": np.arange(400) % 2}
    later = {**make_rows(ROWS, 200, seed=2), "label": np.arange(200) % 2}
    later["distance"] = later["distance"] * 0 + 11_999.0
    parameters = TrainingParameters(
        seed=1, epochs=1, batch_size=100, learning_rate=0.001, patience=1, threads=1, network={"width": 8}
    )
    trained = train(Flights(), rows, later, parameters, NoCheckpoints(), silent)
    numbers = [column.name for column, step in zip(ROWS.features, trained.network.is_step, strict=True) if not step]
    edges = trained.network.levels.edges[numbers.index("distance")]
    assert (edges[0], edges[-1]) == pytest.approx((rows["distance"].min(), rows["distance"].max()))


def test_each_member_learns_from_its_part_of_a_batch_and_all_answer_together():
    network = build({"members": 3, "dropout": 0.0, "input_dropout": 0.0, "width": 8})
    features = read_features(ROWS, make_rows(ROWS, 90))
    network.train()(*features)[:30].sum().backward()
    learned = [member[1].weight.grad.abs().sum() > 0 for member in network.members]
    assert learned == [True, False, False]
    logits = network.eval()(*features)
    alone = []
    for member in network.members:
        network.members = torch.nn.ModuleList([member])
        alone.append(torch.softmax(network(*features), 1))
    torch.testing.assert_close(torch.softmax(logits, 1), torch.stack(alone).mean(0))


def test_a_batch_of_few_rows_is_not_parted_further_than_norms_can_bear():
    network = build({"members": 3, "width": 8}).train()
    for rows in (2, 3, 5):
        assert network(*read_features(ROWS, make_rows(ROWS, rows))).shape == (rows, 2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"width": 0}, "width is 0: expected a whole number from 1"),
        ({"depth": 1.5}, "depth is 1.5: expected a whole number from 1"),
        ({"embedding": True}, "embedding is True: expected a whole number from 1"),
        ({"dropout": 1}, "dropout is 1: expected 0 <= dropout < 1"),
        (
            {"widht": 8},
            "unknown network options widht: there are width, depth, embedding, members, dropout, input_dropout",
        ),
    ],
)
def test_a_wrong_option_is_refused_with_what_is_allowed(options, said):
    with pytest.raises(UsageError, match=said):
        build(options)


def test_options_say_what_the_network_is_like():
    network = build({"width": 10, "depth": 3, "embedding": 2, "members": 2})
    assert len(network.members) == 2
    for member in network.members:
        assert [tuple(part.weight.shape) for part in member if isinstance(part, torch.nn.Linear)][1:] == [
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
