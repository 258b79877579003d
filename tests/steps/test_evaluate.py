"""Evaluating: what the champion learned from is told, for it was there at some of the examination's rows."""

import numpy as np
import pytest

from noria.ml.bundle import Calibration, Facts
from noria.ml.dataset import utc
from noria.schema import Column, Schema
from noria.steps.evaluate import count_seen

FIRST, LAST = np.datetime64("2026-01-02T00:00:00", "us"), np.datetime64("2026-01-04T12:00:00", "us")
SECOND = np.timedelta64(1, "s")
FACTS = Facts(
    task="sales",
    schema=Schema(
        columns=(
            Column(name="id", type="string", role="id"),
            Column(name="time", type="timestamp", role="time"),
            Column(name="size", type="float32", role="feature"),
            Column(name="label", type="int64", role="label"),
        )
    ),
    classes=("a", "b"),
    costs=((0.0, 1.0), (1.0, 0.0)),
    temperature=1.0,
    calibration=Calibration(ece_before=0.1, ece_after=0.01),
    training_data="0" * 64,
    training_rows=10,
    training_start=utc(FIRST),
    training_end=utc(LAST),
    parameters={},
    metrics={},
    parity=0.0,
    code="1",
)


@pytest.mark.parametrize(
    ("times", "seen"),
    [
        ([FIRST - SECOND, FIRST, LAST, LAST + SECOND], 2),
        ([LAST + SECOND, LAST + 2 * SECOND], 0),
        ([FIRST + SECOND] * 3, 3),
        ([], 0),
    ],
)
def test_rows_of_the_time_that_a_bundle_learned_from_are_counted(times, seen):
    assert count_seen(FACTS, np.array(times, "datetime64[us]")) == seen
