"""Feast on our online store: what its SDK writes and reads, and what the predictor's own reading finds of it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, PushSource, ValueType
from feast.data_source import PushMode
from feast.repo_config import RepoConfig
from feast.types import Array, Bool, Float32, Float64, Int32, Int64, String, UnixTimestamp
from feasts import ASOF, definitions, empty_files, fares_rows, frame, trips_rows
from join_cases import MICROSECOND, NOON, hours

from feature_repo import online_store
from feature_repo.online_store import Layout
from noria.errors import StoreError, UsageError
from noria.stores.online.rows import row_key
from noria.stores.online.store import OnlineStore

pytestmark = pytest.mark.xdist_group("online")
CLASS = "feature_repo.online_store.NoriaOnlineStore"


def open_feast(address: str, folder: Path, **options: Any) -> FeatureStore:
    config = RepoConfig(
        project="online",
        provider="local",
        registry=str(folder / "registry.db"),
        offline_store={"type": ASOF},
        online_store={"type": CLASS, "address": address, **options},
        entity_key_serialization_version=3,
        repo_path=folder,
    )
    return FeatureStore(config=config)


def quietly(work: Any, *arguments: Any, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return work(*arguments, **options)


@pytest.fixture
def feast(online_address: str, tmp_path: Path) -> Iterator[FeatureStore]:
    for name, rows in empty_files().items():
        rows.to_parquet(tmp_path / f"{name}.parquet", index=False)
    store = open_feast(online_address, tmp_path)
    quietly(store.apply, definitions(tmp_path))
    yield store
    quietly(store.teardown)
    opened = store._get_provider().online_store._opened
    if opened is not None:
        opened.close()


def put(store: FeatureStore, view: str, rows: pd.DataFrame) -> None:
    quietly(store.write_to_online_store, view, rows)


def ask(store: FeatureStore, features: list[str], *rows: dict[str, Any]) -> dict[str, list[Any]]:
    return quietly(store.get_online_features, features=features, entity_rows=list(rows)).to_dict()


ARRIVALS = [(hours(0), hours(0), 1, 1.0), (hours(1), hours(1), 2, 2.0), (hours(1), hours(2), 3, 3.0),
            (hours(-2), hours(9), 4, 4.0)]  # fmt: skip


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_pushes_in_any_order_leave_the_newest(feast: FeatureStore, order: tuple[int, ...]) -> None:
    for place in order:
        put(feast, "trips", trips_rows([(1, *ARRIVALS[place])]))
    assert ask(feast, ["trips:trips"], {"driver": 1})["trips"] == [3]


def test_a_push_of_days_to_come_is_refused_and_hides_nothing(feast: FeatureStore) -> None:
    soon, later = datetime.now(UTC) + timedelta(hours=20), datetime.now(UTC) + timedelta(days=2)
    put(feast, "trips", trips_rows([(1, NOON, NOON, 1, 1.0)]))
    with pytest.raises(UsageError, match=r"a row of view trips is of .* expected what is known already"):
        put(feast, "trips", trips_rows([(2, NOON, NOON, 5, 1.0), (1, later, NOON, 6, 1.0)]))
    assert ask(feast, ["trips:trips"], {"driver": 1}, {"driver": 2})["trips"] == [1, None]
    put(feast, "trips", trips_rows([(1, soon, NOON, 2, 1.0)]))  # a clock, or a time zone, that is wrong
    assert ask(feast, ["trips:trips"], {"driver": 1})["trips"] == [2]


def test_of_equal_instants_the_later_push_wins(feast: FeatureStore) -> None:
    for trips in (1, 2):
        put(feast, "trips", trips_rows([(1, NOON, NOON, trips, 1.0)]))
    assert ask(feast, ["trips:trips"], {"driver": 1})["trips"] == [2]


def test_values_come_back_as_they_were_with_their_microseconds(feast: FeatureStore, online: OnlineStore) -> None:
    moment = NOON + 123457 * MICROSECOND
    put(feast, "fares", fares_rows([(1, "ü:a", moment, moment, 0.1), (1, "ü", moment, moment, None)]))
    asked = [{"driver": 1, "customer": name} for name in ("ü", "ü:a", "nobody")]
    assert ask(feast, ["fares:fare"], *asked)["fare"] == [None, 0.1, None]
    layout = Layout.of(feast.get_feature_view("fares"))
    assert layout.keys == ("driver", "customer")
    (data,) = online.read([row_key("fares", (1, "ü:a"))])
    assert data is not None
    event, values = layout.unpack(data)
    assert (event, values["fare"].double_val) == (moment, 0.1)


def test_entities_that_are_unknown_are_told_from_those_whose_value_is_missing(feast: FeatureStore) -> None:
    put(feast, "trips", trips_rows([(1, NOON, NOON, 7, None)]))
    found = quietly(
        feast.get_online_features, features=["trips:rating", "trips:trips"], entity_rows=[{"driver": 1}, {"driver": 2}]
    )
    statuses = {name: list(result.statuses) for name, result in zip(
        found.proto.metadata.feature_names.val, found.proto.results, strict=True)}  # fmt: skip
    assert found.to_dict()["trips"] == [7, None]
    assert statuses["trips"] == [1, 3]  # PRESENT, NOT_FOUND
    assert statuses["rating"][1] == 3


def test_feast_materialises_and_goes_on_where_it_ended(feast: FeatureStore, tmp_path: Path) -> None:
    rows = [(1, hours(0), hours(0), 1, 1.0), (1, hours(1), hours(1), 2, 2.0), (2, hours(3), hours(3), 3, 3.0)]
    trips_rows(rows).to_parquet(tmp_path / "trips.parquet", index=False)
    quietly(feast.materialize, hours(-1), hours(2), feature_views=["trips"])
    assert ask(feast, ["trips:trips"], {"driver": 1}, {"driver": 2})["trips"] == [2, None]
    quietly(feast.materialize_incremental, hours(4), feature_views=["trips"])
    assert ask(feast, ["trips:trips"], {"driver": 1}, {"driver": 2})["trips"] == [2, 3]


def test_a_materialisation_of_the_past_takes_nothing_back(feast: FeatureStore, tmp_path: Path) -> None:
    put(feast, "trips", trips_rows([(1, hours(5), hours(5), 9, 9.0)]))
    trips_rows([(1, hours(0), hours(0), 1, 1.0)]).to_parquet(tmp_path / "trips.parquet", index=False)
    quietly(feast.materialize, hours(-1), hours(2), feature_views=["trips"])
    assert ask(feast, ["trips:trips"], {"driver": 1})["trips"] == [9]


def test_a_view_without_keys_is_kept(feast: FeatureStore, tmp_path: Path) -> None:
    frame([(hours(0), 1.5)], {"event_timestamp": "datetime64[us, UTC]", "rate": "float64"}).to_parquet(
        tmp_path / "rates.parquet", index=False
    )
    quietly(feast.materialize, hours(-1), hours(2), feature_views=["rates"])
    assert ask(feast, ["rates:rate"], {"driver": 1})["rate"] == [1.5]


TYPED = {"big": (Int64, -(2**62)), "small": (Int32, -7), "exact": (Float64, 0.1), "short": (Float32, 0.5),
         "yes": (Bool, True), "text": (String, "雪"), "when": (UnixTimestamp, datetime(2020, 1, 2))}  # noqa: DTZ001  # fmt: skip


def typed_view(folder: Path, schema: list[Field]) -> list[Any]:
    entity = Entity(name="who", join_keys=["who"], value_type=ValueType.STRING)
    path = str(folder / "typed.parquet")
    source = PushSource(name="pushed", batch_source=FileSource(path=path, timestamp_field="event_timestamp"))
    fields = [Field(name="who", dtype=String), *schema]
    return [entity, FeatureView(name="typed", entities=[entity], ttl=timedelta(0), schema=fields, source=source)]


def test_every_type_that_is_kept_comes_back_as_feast_has_it_and_a_push_gets_there(
    online_address: str, tmp_path: Path
) -> None:
    store = open_feast(online_address, tmp_path)
    row = {name: [value] for name, (_, value) in TYPED.items()}
    rows = pd.DataFrame({"who": ["a"], "event_timestamp": [NOON], **row})
    rows.to_parquet(tmp_path / "typed.parquet", index=False, coerce_timestamps="us")
    quietly(store.apply, typed_view(tmp_path, [Field(name=name, dtype=kind) for name, (kind, _) in TYPED.items()]))
    quietly(store.push, "pushed", rows, to=PushMode.ONLINE)
    found = ask(store, [f"typed:{name}" for name in TYPED], {"who": "a"})
    values = {name: found[name][0] for name in TYPED}
    assert values.pop("when").replace(tzinfo=None) == TYPED["when"][1]
    assert values == {name: value for name, (_, value) in TYPED.items() if name != "when"}
    assert [type(value) for value in values.values()] == [int, int, float, float, bool, str]


def test_a_type_that_no_row_can_hold_is_refused_when_it_is_applied(online_address: str, tmp_path: Path) -> None:
    pd.DataFrame({"who": ["a"], "event_timestamp": [NOON], "many": [[1.0]]}).to_parquet(tmp_path / "typed.parquet")
    store = open_feast(online_address, tmp_path)
    with pytest.raises(UsageError, match=r"typed has many \(DOUBLE_LIST\): this online store keeps INT64"):
        quietly(store.apply, typed_view(tmp_path, [Field(name="many", dtype=Array(Float64))]))


def test_rows_of_a_task_that_another_machine_has_materialised_stay(
    feast: FeatureStore, online: OnlineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    trips = feast.get_feature_view("trips")
    online.write([(row_key("trips", (7,)), b"a row")], {"trips": 1})
    update = feast._get_provider().online_store.update
    with monkeypatch.context() as patched:
        patched.setattr(online_store, "_named_views", lambda: frozenset({"trips"}))
        update(feast.config, [trips], [], [], [], partial=False)
    assert (online.read([row_key("trips", (7,))]), online.marks()) == ([b"a row"], {"trips": 1})
    update(feast.config, [trips], [], [], [], partial=False)
    assert (online.read([row_key("trips", (7,))]), online.marks()) == ([None], {})
    assert {"aircraft", "item_statistics"} <= online_store._named_views()


def test_rows_of_a_view_that_is_no_more_are_removed(feast: FeatureStore, online: OnlineStore, tmp_path: Path) -> None:
    put(feast, "trips", trips_rows([(1, NOON, NOON, 7, 1.0)]))
    put(feast, "fares", fares_rows([(1, "a", NOON, NOON, 0.1)]))
    assert None not in online.read([row_key("trips", (1,)), row_key("fares", (1, "a"))])
    quietly(feast.teardown)
    assert online.read([row_key("trips", (1,)), row_key("fares", (1, "a"))]) == [None, None]


def test_a_batch_is_written_whole_or_not_at_all(feast: FeatureStore, online: OnlineStore) -> None:
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    view, inner = feast.get_feature_view("trips"), feast._get_provider().online_store
    good = (EntityKey(join_keys=["driver"], entity_values=[Value(int64_val=1)]), {"trips": Value(int64_val=1)})
    wrong = (EntityKey(join_keys=["driver"], entity_values=[Value()]), {"trips": Value(int64_val=1)})
    with pytest.raises(UsageError, match="join key driver of feature view trips got nothing"):
        inner.online_write_batch(feast.config, view, [(*good, NOON, None), (*wrong, NOON, None)], None)
    assert online.read([row_key("trips", (1,))]) == [None]


def test_the_password_comes_from_a_file(tmp_path: Path) -> None:
    from redis_server import running_redis

    (tmp_path / "password").write_text("secret\n")
    with running_redis(tmp_path / "redis", "--requirepass", "secret") as server:
        for name, rows in empty_files().items():
            rows.to_parquet(tmp_path / f"{name}.parquet", index=False)
        store = open_feast(server.address(), tmp_path, password_file=str(tmp_path / "password"))
        quietly(store.apply, definitions(tmp_path))
        put(store, "trips", trips_rows([(1, NOON, NOON, 7, 1.0)]))
        assert ask(store, ["trips:trips"], {"driver": 1})["trips"] == [7]
        with pytest.raises(StoreError, match="refused the password"):
            put(open_feast(server.address(), tmp_path), "trips", trips_rows([(1, NOON, NOON, 7, 1.0)]))
        store._get_provider().online_store._opened.close()
