"""Tabular: columns of every number type come to one scale, and the exported network takes any number of rows."""

import numpy as np
import pytest
import torch
from torch import nn

from noria.errors import UsageError
from noria.ml.export import check_parity, export_onnx
from noria.schema import Column, Schema
from noria.tasks.tabular import TabularNetwork


def schema(*features):
    return Schema(
        columns=(
            Column(name="id", type="string", role="id"),
            Column(name="time", type="timestamp", role="time"),
            *features,
            Column(name="label", type="int64", role="label"),
        )
    )


NUMBERS = schema(
    Column(name="age", type="int64", role="feature", minimum=0, maximum=60),
    Column(name="acids", type="float32", role="feature", shape=(2, 2), minimum=-10, maximum=10),
    Column(name="sweet", type="bool", role="feature"),
)


def test_bounds_become_minus_one_and_one_in_the_order_of_the_schema():
    network = TabularNetwork(NUMBERS, nn.Identity())
    found = network(
        torch.tensor([0, 60]), torch.tensor([[[-10.0, 0.0], [5.0, 10.0]], [[0.0] * 2] * 2]), torch.tensor([True, False])
    )
    assert found.dtype == torch.float32
    assert found.tolist() == [[-1, -1, 0, 0.5, 1, 1], [1, 0, 0, 0, 0, -1]]


def test_a_large_number_keeps_its_last_digits():
    second = Column(name="second", type="int64", role="feature", minimum=1_700_000_000, maximum=1_700_000_100)
    network = TabularNetwork(Schema(columns=(*NUMBERS.columns[:2], NUMBERS.label, second)), nn.Identity())
    found = network(torch.tensor([1_700_000_000, 1_700_000_030, 1_700_000_050, 1_700_000_100]))
    assert found.flatten().tolist() == pytest.approx([-1, -0.4, 0, 1])


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (Column(name="age", type="int64", role="feature"), "'age' lies from None to None: give it"),
        (Column(name="age", type="int64", role="feature", minimum=3, maximum=3), "'age' lies from 3 to 3: give it"),
        (Column(name="maker", type="string", role="feature"), "'maker' is a string: a tabular network takes numbers"),
    ],
)
def test_a_feature_that_has_no_scale_is_refused(column, said):
    with pytest.raises(UsageError, match=said):
        TabularNetwork(schema(column), nn.Identity())


def test_exported_it_takes_any_number_of_rows():
    network = TabularNetwork(NUMBERS, nn.Linear(6, 3)).eval()
    model = export_onnx(network, NUMBERS, 1.0)
    for rows in (1, 2, 700):
        features = {
            "age": np.arange(rows) % 61,
            "acids": np.zeros((rows, 2, 2), np.float32),
            "sweet": np.arange(rows) % 2 == 0,
        }
        assert check_parity(network, 1.0, NUMBERS, model, features) < 1e-5


GAPS = schema(
    Column(name="age", type="int64", role="feature", minimum=0, maximum=60, maximum_null_share=0.5),
    Column(name="acids", type="float32", role="feature", shape=(2,), minimum=0, maximum=10, maximum_null_share=0.5),
    Column(name="sugar", type="float64", role="feature", minimum=-4, maximum=4),
    Column(name="sulphur", type="float16", role="feature", minimum=0, maximum=400, maximum_null_share=0.5),
)


def test_what_is_missing_becomes_the_middle_and_is_marked_behind_the_values():
    network = TabularNetwork(GAPS, nn.Identity())
    found = network(
        torch.tensor([30, 60, 0]),
        torch.tensor([[10, 0], [torch.nan, torch.nan], [5, 5]]),
        torch.tensor([4.0, 0.0, -4.0], dtype=torch.float64),
        torch.tensor([torch.nan, 200, torch.nan], dtype=torch.float16),
    )
    assert network.scaling.width == 5 + 2
    assert found.tolist() == [[0, 1, -1, 1, 0, 0, 1], [1, 0, 0, 0, 0, 1, 0], [-1, 0, 0, -1, 0, 0, 1]]


def test_exported_it_finds_what_is_missing_itself():
    network = TabularNetwork(GAPS, nn.Linear(7, 3)).eval()
    model = export_onnx(network, GAPS, 1.0)
    draw = np.random.default_rng(1)
    for rows in (1, 2, 700):
        gone = draw.random((2, rows)) < 0.5
        features = {
            "age": np.arange(rows) % 61,
            "acids": np.where(gone[0][:, None], np.nan, draw.uniform(0, 10, (rows, 2))).astype(np.float32),
            "sugar": draw.uniform(-4, 4, rows),
            "sulphur": np.where(gone[1], np.nan, draw.uniform(0, 400, rows)).astype(np.float16),
        }
        assert check_parity(network, 1.0, GAPS, model, features) < 1e-5


def test_a_text_is_sent_to_an_embedding():
    maker = Column(name="maker", type="string", role="feature", choices=("a", "b"))
    with pytest.raises(UsageError, match=r"'maker' is a string: .* places of a text's choices want an embedding"):
        TabularNetwork(schema(maker), nn.Identity())
