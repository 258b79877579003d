"""The page of a model whose requests are completed: it asks about a moment, or about now."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from airline import FACTS, INFER, NOON, make_airline_model, rows_of
from playwright.sync_api import Page, expect
from predictor import predictor
from tabs import expect_answer, question_after

from noria.ml.bundle import Facts
from noria.stores.online.store import open_online

ROW = {"carrier": "AA", "origin": "EWR", "distance": "100", "shelf": "1", "tailnum": "N1"}


@pytest.fixture(scope="module")
def airline(
    publish: Callable[[bytes, Facts], Path], home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    address = str(tmp_path_factory.mktemp("online") / "online.db")
    store = open_online(address)
    store.write(rows_of())
    store.close()
    with predictor(["--bundle", publish(make_airline_model(), FACTS), "--online", address], home) as running:
        yield str(running.client.base_url)


def fill(tab: Page) -> None:
    for name, value in ROW.items():
        field = tab.get_by_label(name, exact=True)
        if field.evaluate("field => field.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)


def test_a_moment_is_asked_about_and_without_one_it_is_now(tab: Page, airline: str) -> None:
    tab.goto(airline)
    fill(tab)
    ask = tab.get_by_role("button", name="Ask the model").click
    assert {each["name"] for each in question_after(tab, ask)["inputs"]} == set(ROW)
    moment = tab.get_by_label("asked")
    moment.fill("yesterday")
    ask()
    expect(moment).to_be_focused()
    expect(tab.get_by_text("expected a moment such as 2026-01-31T12:00")).to_be_visible()
    moment.fill("2026-01-01T12:00")
    question = question_after(tab, ask)
    (asked,) = (each for each in question["inputs"] if each["name"] == "asked")
    assert (asked["datatype"], asked["shape"]) == ("INT64", [1])
    assert asked["data"] == [NOON]
    expect_answer(tab, airline + INFER, question)
