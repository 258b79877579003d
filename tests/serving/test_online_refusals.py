"""What is wrong with requests for a model with a feature service is said at once, with and without a store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from airline import ASKED, FACTS, INFER, NAME, NOON, at, full, make_airline_model, rows_of, v2
from corpus.case import Case
from corpus.feature_cases import feature_cases
from corpus.forms import dump
from predictor import PATIENCE, Predictor, predictor
from test_corpus import check_words
from tiny_models import facts_of

from noria.errors import BundleError
from noria.features import Age, FeatureService, FeatureView, Field
from noria.ml.bundle import Facts
from noria.schema import Column
from noria.stores.online.store import open_online
from serving.features.plan import make_plan

CASES = tuple(feature_cases())
SECONDS = 0.005
LIMITS = ["--max-rows", "8"]


@pytest.fixture(scope="module", params=["with a store", "without"])
def running(
    request: pytest.FixtureRequest, publish: Callable[[bytes, Facts], Path], home: Path, tmp_path_factory
) -> Iterator[Predictor]:
    path = tmp_path_factory.mktemp("online") / "online.db"
    store = open_online(str(path))
    store.write(rows_of())
    store.close()
    online = ["--online", path] if request.param == "with a store" else []
    with predictor(["--bundle", publish(make_airline_model(), FACTS), *LIMITS, *online], home) as running:
        yield running
        assert running.client.get("/v2/health/live").status_code == 200
        assert "Traceback" not in running.log.read_text()


@pytest.fixture(scope="module")
def connection(running: Predictor) -> Iterator[HTTPConnection]:
    connection = HTTPConnection("127.0.0.1", running.port, timeout=PATIENCE)
    connection.connect()
    yield connection
    connection.close()


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_what_does_not_fit_is_refused_and_its_connection_lives_on(connection: HTTPConnection, case: Case):
    held = connection.sock
    connection.request(case.method, case.path, case.body, dict(case.headers))
    response = connection.getresponse()
    text = response.read()
    if b"reads no online store" in text:
        assert response.status == 400
    else:
        assert response.status == case.status, text
        assert case.says in check_words(text)
    connection.request("POST", INFER, dump(v2(full())))
    good = connection.getresponse()
    assert (good.status, good.read()[:1]) == (200, b"{")
    assert connection.sock is held


def test_a_refusal_takes_less_than_five_milliseconds(connection: HTTPConnection):
    for case in CASES:
        seconds = []
        for _ in range(3):
            started = time.perf_counter()
            connection.request(case.method, case.path, case.body, dict(case.headers))
            connection.getresponse().read()
            seconds.append(time.perf_counter() - started)
        assert min(seconds) < SECONDS, case.name


def test_all_features_and_all_that_goes_with_them_are_a_full_request(running: Predictor):
    rows = {**full(), "tailnum": ASKED["tailnum"], "flight": ASKED["tailnum"], **at(NOON)}
    assert running.client.post(INFER, json=v2(rows)).status_code == 200
    assert running.client.get(f"/v2/models/{NAME}").json()["inputs"][0]["name"] == "carrier"


NUMBER = Column(name="x", type="float64", role="feature", maximum_null_share=0.5)
VIEW = FeatureView(name="v", keys=("id",), fields=(Field(name="x", type="float64"),), ttl_seconds=1)


def _facts(column: Column, field: Field, keys: tuple[str, ...] = ("id",), ages: tuple[Age, ...] = ()) -> Facts:
    from dataclasses import replace

    view = replace(VIEW, keys=keys, fields=(field,))
    return replace(facts_of((column,)), service=FeatureService(name="s", views=(view,), ages=ages))


@pytest.mark.parametrize(
    ("column", "field", "keys", "said"),
    [
        (NUMBER, Field(name="x", type="string"), ("id",), "expected single values of such a kind"),
        (Column(name="x", type="int64", role="feature"), Field(name="x", type="float64"), ("id",), "such a kind"),
        (Column(name="x", type="int64", role="feature"), Field(name="x", type="int64"), ("id",), "has no default"),
        (Column(name="x", type="float64", role="feature"), Field(name="x", type="float64"), ("id",), "has no default"),
        (NUMBER, Field(name="x", type="float64"), ("nobody",), "key 'nobody' is missing"),
        (NUMBER, Field(name="x", type="float64"), ("time",), "key 'time' is 'time' (timestamp)"),
    ],
)
def test_a_service_that_cannot_complete_the_schema_is_refused_with_its_bundle(
    column: Column, field: Field, keys: tuple[str, ...], said: str
):
    with pytest.raises(BundleError, match="service s do not fit") as refused:
        make_plan(_facts(column, field, keys))
    assert said in str(refused.value)


def test_a_service_that_supplies_none_of_the_features_makes_no_plan():
    assert make_plan(_facts(NUMBER, Field(name="y", type="string"))) is None
    assert make_plan(facts_of((NUMBER,))) is None
