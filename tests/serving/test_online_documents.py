"""How clients and people learn what a request may leave out: the OpenAPI document and the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from airline import ASKED, FACTS, FOUND, INFER, NAME, NOON, PREDICT, at, full, make_airline_model, rows_of, v1, v2
from jsonschema_rs import is_valid
from playwright.sync_api import Page, expect
from predictor import Predictor, predictor
from schemathesis import Case, GenerationMode
from tabs import question_after
from test_openapi import BINARY, EXAMPLES, make_valid, operations_of, send_many

from noria.ml.bundle import Facts
from noria.schema import Schema
from noria.stores.online.store import open_online

# The model fails on the upper shelves, which is no matter of the document.
TAME = replace(
    FACTS,
    schema=Schema(columns=tuple(replace(c, maximum=4) if c.name == "shelf" else c for c in FACTS.schema.columns)),
)


@pytest.fixture(scope="module")
def running(publish: Callable[[bytes, Facts], Path], home: Path, tmp_path_factory) -> Iterator[Predictor]:
    path = tmp_path_factory.mktemp("online") / "online.db"
    store = open_online(str(path))
    store.write(rows_of())
    store.close()
    bundle = publish(make_airline_model(), TAME)
    with predictor(["--bundle", bundle, "--online", path, "--max-rows", "8"], home) as running:
        yield running


@pytest.fixture(scope="module")
def document(running: Predictor) -> dict[str, Any]:
    return running.client.get("/openapi.json").json()


def make_alike(case: Case) -> None:
    """What the document says in words only, of rows as well: they all have the same columns."""
    make_valid(case)
    if isinstance(case.body, dict) and "instances" in case.body:
        rows = case.body["instances"]
        common = set.intersection(*(set(row) for row in rows))
        case.body["instances"] = [{name: row[name] for name in common} for row in rows]


def schema_of(document: dict[str, Any], part: str) -> dict[str, Any]:
    return document["components"]["schemas"][f"{NAME}.{part}"]


def test_both_kinds_of_requests_fit_the_document_and_a_mix_does_not(document: dict[str, Any]):
    flight = {"flight": ASKED["tailnum"], **at(NOON)}
    good = (ASKED, {**ASKED, **flight}, full(), {**full(), **flight, "tailnum": ASKED["tailnum"]})
    bad = ({**ASKED, "gust": FOUND["gust"]}, {"origin": ASKED["origin"]}, {**full(), "label": ASKED["shelf"]})
    for part, make in (("V1Request", v1), ("V2Request", v2)):
        schema = schema_of(document, part)
        assert [is_valid(schema, make(rows)) for rows in (*good, *bad)] == [True] * 4 + [False] * 3
        (example,) = schema["examples"]
        assert is_valid(schema, example)


def test_the_examples_of_the_document_are_completed(running: Predictor, document: dict[str, Any]):
    for path, part in ((INFER, "V2Request"), (PREDICT, "V1Request")):
        (example,) = schema_of(document, part)["examples"]
        answer = running.client.post(path, json=example)
        assert answer.status_code == 200, answer.text
        assert answer.headers["noria-features"] == "defaults"


def test_whatever_fits_the_document_is_answered_as_it_says_and_whatever_does_not_is_refused(
    running: Predictor, document: dict[str, Any]
):
    url = str(running.client.base_url)
    for path in document["paths"].values():
        path.get("post", {"requestBody": {"content": {}}})["requestBody"]["content"].pop(BINARY, None)
    for operation in operations_of(document):
        if operation.body and "version" not in operation.path:
            statuses = send_many(operation, GenerationMode.POSITIVE, make_alike, url)
            assert (set(statuses), statuses[200] >= EXAMPLES) == ({200}, True), operation.label
            refused = send_many(operation, GenerationMode.NEGATIVE, lambda _: None, url)
            assert set(refused) <= {400, 404, 413}, operation.label


def test_the_page_asks_for_keys_and_own_features_and_says_what_came_from_the_store(running: Predictor, tab: Page):
    tab.goto(str(running.client.base_url))
    expect(tab.locator("#purpose")).to_contain_text("The store knows the rest: airline_v1.")
    labels = [text.split()[0] for text in tab.locator("form label").all_inner_texts()]
    assert labels == ["carrier", "origin", "distance", "shelf", "tailnum", "asked"]
    tab.get_by_label("carrier").select_option("AA")
    tab.get_by_label("origin").select_option("EWR")
    tab.get_by_label("distance").fill("100")
    tab.get_by_label("shelf").fill("1")
    tab.get_by_label("tailnum").fill("N1")
    question = question_after(tab, tab.get_by_role("button", name="Ask the model").click)
    assert {each["name"]: each["data"] for each in question["inputs"]} == {
        "carrier": ["AA"],
        "origin": ["EWR"],
        "distance": [100],
        "shelf": [1],
        "tailnum": ["N1"],
    }
    # The rows of the store are of another year than the question.
    expect(tab.locator("#remark")).to_contain_text("The online store knows too little: weather")
    expect(tab.locator("#origin")).to_contain_text("Features")
