"""Point in time: whatever the labels and the history are, the join equals brute force."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pandas as pd
import pytest
from as_of import Wanted, answers, rows_of
from feasts import Repository, fares_rows, trips_rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from join_cases import NOON, trips

pytestmark = pytest.mark.xdist_group("feast")

# Few keys and few moments, an hour apart or a microsecond, so that ties, edges of the ttl and equal labels are common.
DRIVERS = st.integers(0, 2)
CUSTOMERS = st.sampled_from(["a", "b", "", None])
MOMENTS = st.builds(
    lambda hours, microseconds: (NOON + timedelta(hours=hours, microseconds=microseconds)).as_unit("us"),
    st.integers(-3, 3),
    st.integers(-1, 1),
)
CREATED = MOMENTS | st.just(pd.NaT)
HISTORY = st.lists(st.tuples(DRIVERS, MOMENTS, CREATED), max_size=12)
FARES = st.lists(st.tuples(DRIVERS, CUSTOMERS, MOMENTS, CREATED), max_size=12)
LABELS = st.lists(st.tuples(DRIVERS, CUSTOMERS, MOMENTS), max_size=10)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=HISTORY, fares=FARES, asked=LABELS, only_known=st.booleans())
def test_every_label_gets_the_newest_row_that_it_may_see_and_stays_in_its_place(
    repositories: Callable[[str], Repository],
    history: list[tuple[Any, ...]],
    fares: list[tuple[Any, ...]],
    asked: list[tuple[Any, ...]],
    only_known: bool,
) -> None:
    repository = repositories("asof")
    # Each row carries its own number, so that the answer says which one was taken.
    files = {
        "trips": trips_rows([(*row, number, number / 7) for number, row in enumerate(history)]),
        "fares": fares_rows([(*row, float(number)) for number, row in enumerate(fares)]),
    }
    for name, rows in files.items():
        repository.write(name, rows)
    labels = pd.DataFrame(
        {
            "driver": pd.Series([row[0] for row in asked], dtype="int64"),
            "customer": pd.Series([row[1] for row in asked], dtype="object"),
            "event_timestamp": pd.Series([row[2] for row in asked], dtype="datetime64[us, UTC]"),
            "place": range(len(asked)),
        }
    )
    got = repository.store.get_historical_features(
        entity_df=labels, features=["trips:trips", "fares:fare"], filter_by_created_timestamp=only_known
    ).to_df()
    wanted = [
        trips(files["trips"], "trips"),
        Wanted(
            rows=files["fares"], keys={"driver": "driver", "customer": "customer"}, features={"fare": "fare"}
        ),
    ]  # fmt: skip
    assert list(got["place"]) == list(range(len(asked)))
    for row in got.dropna(subset="trips").to_dict("records"):
        assert history[int(row["trips"])][1] <= row["event_timestamp"]
    assert rows_of(got, [*labels.columns, "trips", "fare"]) == answers(labels, wanted, only_known=only_known)
