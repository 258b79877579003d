"""Rule: a flight is as often late as those of its carrier, origin and scheduled hour were in the last four weeks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noria.errors import TrainingError
from noria.ml.choices import DOMAIN, VERSION, place_texts, placing_node
from noria.ml.inference import PROBABILITIES
from noria.ml.rule import IR_VERSION, OPSET
from noria.schema import Column, Schema
from noria.task import Rows

WEEKS = np.timedelta64(4 * 7 * 24 * 60 * 60 * 1_000_000, "us")
FEWEST = 20  # flights of which a share says something
HOURS = 24
TIME, CARRIER, ORIGIN, HOUR = "event_timestamp", "carrier", "origin", "scheduled_hour"


@dataclass(frozen=True, kw_only=True)
class LateShareRule:
    """`shares` of late flights: (carriers + 1, origins + 1, hours), at place 0 of those that are not known."""

    carrier: Column
    origin: Column
    shares: NDArray[np.float64]

    def __call__(self, rows: Rows) -> NDArray[np.float64]:
        """Probabilities (rows, 2) of on time and late, for rows with carrier, origin and scheduled_hour."""
        places = place_texts(self.carrier, rows[CARRIER]), place_texts(self.origin, rows[ORIGIN]), _hours(rows)
        late = self.shares[places]
        return np.stack([1.0 - late, late], axis=1)

    def write_graph(self, schema: Schema) -> bytes:
        """The ONNX graph from all features of the schema, the unused ones too, to the same probabilities."""
        from onnx import TensorProto, helper, numpy_helper

        constants: dict[str, NDArray[Any]] = {
            "first hour": np.array(0, np.int64),
            "last hour": np.array(HOURS - 1, np.int64),
            "columns": np.array([1], np.int64),
            "table": np.stack([1.0 - self.shares, self.shares], axis=-1).astype(np.float32),
        }
        nodes = [
            placing_node(self.carrier, CARRIER, "carrier place"),
            placing_node(self.origin, ORIGIN, "origin place"),
            helper.make_node("Cast", [HOUR], ["whole hour"], to=TensorProto.INT64),
            helper.make_node("Clip", ["whole hour", "first hour", "last hour"], ["hour place"]),
            *(
                helper.make_node("Unsqueeze", [f"{name} place", "columns"], [f"{name} column"])
                for name in ("carrier", "origin", "hour")
            ),
            helper.make_node("Concat", ["carrier column", "origin column", "hour column"], ["places"], axis=1),
            helper.make_node("GatherND", ["table", "places"], [PROBABILITIES]),
        ]
        inputs = [
            helper.make_tensor_value_info(
                column.name,
                TensorProto.STRING if column.type == "string" else helper.np_dtype_to_tensor_dtype(column.dtype),
                ["rows", *column.shape],
            )
            for column in schema.features
        ]
        output = helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["rows", 2])
        tensors = [numpy_helper.from_array(values, name) for name, values in constants.items()]
        graph = helper.make_graph(nodes, "rule", inputs, [output], tensors)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, VERSION)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        return bytes(model.SerializeToString(deterministic=True))


def fit_rule(rows: Rows, labels: NDArray[np.int64]) -> LateShareRule:
    """Fit the rule on the rows of the last four weeks before the newest one, by their `event_timestamp`.

    A carrier's share at an origin in an hour is taken where there are 20 such flights; where there are fewer, that of
    the carrier at the origin, then of the origin in the hour, then of the origin, then of all. Each share counts one
    flight more, which was late as often as those of the coarser group, so that none is 0 or 1.
    """
    if TIME not in rows:
        raise TrainingError(f"the rows of the rule lack {TIME!r}: expected it beside the features, for its four weeks")
    if len(labels) == 0:
        raise TrainingError("there are no training rows: a late share needs at least one")
    times = rows[TIME]
    recent = times > times.max() - WEEKS
    last = {name: rows[name][recent] for name in (CARRIER, ORIGIN, HOUR)}
    carrier, origin = _column(CARRIER, last[CARRIER]), _column(ORIGIN, last[ORIGIN])
    shape = (len(carrier.choices) + 1, len(origin.choices) + 1, HOURS)
    places = place_texts(carrier, last[CARRIER]), place_texts(origin, last[ORIGIN]), _hours(last)
    flights, late = np.zeros(shape), np.zeros(shape)
    np.add.at(flights, places, 1.0)
    np.add.at(late, places, labels[recent] == 1)
    # One flight, late as a coin falls, stands above the coarsest group.
    shares = np.full((1, 1, 1), (late.sum() + 0.5) / (flights.sum() + 1.0))
    for axes in ((0, 2), (0,), (2,), ()):
        shares = _refine(shares, flights.sum(axis=axes, keepdims=True), late.sum(axis=axes, keepdims=True))
    return LateShareRule(carrier=carrier, origin=origin, shares=np.broadcast_to(shares, shape).copy())


def _refine(
    coarser: NDArray[np.float64], flights: NDArray[np.float64], late: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The finer groups' own shares where they have flights enough, and else the coarser ones."""
    return np.where(flights >= FEWEST, (late + coarser) / (flights + 1.0), coarser)


def _column(name: str, values: NDArray[np.object_]) -> Column:
    """The texts that were seen, as choices."""
    seen = sorted({str(value) for value in values.tolist() if value})
    return Column(name=name, type="string", role="feature", choices=tuple(seen))


def _hours(rows: Rows) -> NDArray[np.int64]:
    return np.clip(rows[HOUR].astype(np.int64), 0, HOURS - 1)
