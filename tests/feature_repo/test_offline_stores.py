"""The contract of an offline store: the same cases on Feast's dask and duckdb stores and on ours.

What has to come out is found by brute force. Where one of Feast's own stores differs, DIFFERENCES says how; so a
version of Feast that mends it is noticed, and docs/guides/features.md lists the same.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from as_of import answers, judge, rows_of
from feasts import STORES, Repository, trips_rows
from join_cases import CASES, NOON, Case, hours, labels

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "features.md"
pytestmark = pytest.mark.xdist_group("feast")

# By case and store. Lost rows and failures are wrong by Feast's documents, which promise "the original entity rows and
# joined feature values". Of order, null keys and full ties they say nothing: there ours is a rule, not the only one.
ORDER = "another order"
DIFFERENCES: dict[tuple[str, str], str] = {
    ("a row at the label's very time", "dask"): ORDER,
    ("a row a microsecond after the label", "dask"): ORDER,
    ("a row a microsecond older than the ttl", "dask"): "1 of 2 rows lost",
    ("labels before the first row", "dask"): "1 of 2 rows lost",
    ("no row within the window", "dask"): "2 of 2 rows lost",
    ("rows of equal time, the one created last first", "dask"): ORDER,
    ("rows of equal time, the one created last last", "dask"): ORDER,
    ("rows of equal time, one of them without a created time", "dask"): ORDER,
    ("rows that are equal in both times", "duckdb"): "1 of 2 rows with other values",
    ("a row that came late, which counts", "dask"): ORDER,
    ("labels without a time zone", "dask"): ORDER,
    ("labels in another time zone", "dask"): ORDER,
    ("labels in nanoseconds, features in microseconds", "dask"): ORDER,
    ("labels in nanoseconds, features in microseconds", "duckdb"): "ArrowInvalid",
    ("labels that are out of order", "dask"): "1 of 4 rows lost",
    ("one label twice, with different targets", "dask"): "1 of 3 rows lost",
    ("a join on two keys", "dask"): ORDER,
    ("views with different keys and ttl", "dask"): "4 of 5 rows lost",
    ("a whole service", "dask"): "4 of 5 rows lost",
    ("a part of a service's views", "dask"): "2 of 3 rows lost",
    ("renamed columns of a source", "dask"): "1 of 3 rows lost",
    ("one name in two views, asked for with full names", "dask"): "2 of 3 rows lost",
    ("a view without keys", "dask"): "2 of 3 rows lost",
    ("one view for two keys of the label", "dask"): "1 of 2 rows lost",
    ("a null key", "dask"): "1 of 2 rows with other values",
}


def outcome(case: Case, repository: Repository) -> str:
    for name, rows in case.files.items():
        repository.write(name, rows)
    ask = repository.store.get_feature_service(case.ask) if isinstance(case.ask, str) else case.ask
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Feast's stores warn of dask, ibis and pandas
        try:
            job = repository.store.get_historical_features(entity_df=case.labels.copy(), features=ask, **case.options)
            got = job.to_df()
        except Exception as error:  # noqa: BLE001 - how a store fails is what is looked at
            return f"{type(error).__name__}"
    only_known = case.options.get("filter_by_created_timestamp", False)
    if lacking := sorted(set(case.columns) - set(got.columns)):
        return f"no column {', '.join(lacking)}"
    return judge(answers(case.labels, case.wanted, only_known=only_known), rows_of(got, case.columns))


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("name", CASES)
def test_a_store_answers_as_brute_force_does_or_differs_as_documented(
    name: str, kind: str, repositories: Callable[[str], Repository]
) -> None:
    assert outcome(CASES[name], repositories(kind)) == DIFFERENCES.get((name, kind), "same")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("dask", {(1.0, NOON, 11.0), (2.0, NOON, 20.0)}),
        ("duckdb", "TypeError"),
        ("asof", {(1.0, hours(-1), 10.0), (1.0, hours(-0.5), 11.0), (2.0, hours(-1), 20.0)}),
    ],
)
def test_without_labels_each_store_answers_in_its_own_way(
    kind: str, expected: Any, repositories: Callable[[str], Repository]
) -> None:
    repository = repositories(kind)
    repository.write("trips", trips_rows([
        (1, hours(-1), hours(-1), 10, 1.0), (1, hours(-0.5), hours(-0.5), 11, 1.1), (2, hours(-1), hours(0), 20, 2.0),
    ]))  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = repository.store.get_historical_features(
                features=["trips:trips"], start_date=hours(-2), end_date=NOON
            ).to_df()
        except TypeError:
            found = None
    columns = ["driver", "event_timestamp", "trips"]
    assert expected == ("TypeError" if found is None else set(found[columns].itertuples(index=False, name=None)))


@pytest.mark.parametrize("kind", STORES)
def test_with_a_view_on_demand_its_inputs_are_answered_too(
    kind: str, repositories: Callable[[str], Repository]
) -> None:
    repository = repositories(kind)
    repository.write("trips", trips_rows([(1, hours(-1), hours(-1), 10, 1.0)]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = repository.store.get_historical_features(
            entity_df=labels((1, NOON, 0)), features=["doubled:double"]
        ).to_df()
    assert {"trips", "rating", "double"} <= set(found.columns)
    assert list(found["double"]) == [2.0]


def test_our_store_has_no_differences() -> None:
    assert {kind for _, kind in DIFFERENCES} == {"dask", "duckdb"}


def test_the_guide_lists_the_differences_and_no_others() -> None:
    lines = [line.split("|") for line in GUIDE.read_text().splitlines() if line.startswith("| ")]
    table = {cells[1].strip(): [cell.strip() for cell in cells[2:4]] for cells in lines if len(cells) == 6}
    told = {(name, kind): said for name in CASES for kind, said in zip(("dask", "duckdb"), table[name], strict=True)}
    assert {key: said for key, said in told.items() if said != "same"} == DIFFERENCES
