import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tabs import expect_answer, question_after
from tiny_models import facts_of, make_model, make_placing_model
from website import served_page

from noria.ml.bundle import Facts
from noria.schema import Column

FORM = (
    Column(name="wind speed", type="float32", role="feature", unit="m/s", minimum=0, maximum=60),
    Column(name="price", type="float64", role="feature", shape=(2,), description="now and before"),
    Column(name="shelf", type="int64", role="feature", minimum=0, maximum=4),
    Column(name="stock", type="int64", role="feature"),
    Column(name="new", type="bool", role="feature"),
)
GAPS = (Column(name="age", type="float32", role="feature", maximum_null_share=0.5), FORM[2])
TEXTS = (
    Column(name="maker", type="string", role="feature", choices=("Ant", "Bee"), maximum_null_share=0.5),
    Column(name="size", type="string", role="feature", choices=("S", "M")),
)
LARGE = 9007199254740993  # the first whole number that JavaScript's numbers do not hold


@pytest.fixture(scope="module")
def form(publish: Callable[[bytes, Facts], Path], home: Path) -> Iterator[str]:
    with served_page(publish(make_model(FORM), replace(facts_of(FORM), task="shop")), home) as address:
        yield address


@pytest.fixture(scope="module")
def gaps(publish: Callable[[bytes, Facts], Path], home: Path) -> Iterator[str]:
    with served_page(publish(make_model(GAPS), replace(facts_of(GAPS), task="gaps")), home) as address:
        yield address


@pytest.fixture(scope="module")
def texts(publish: Callable[[bytes, Facts], Path], home: Path) -> Iterator[str]:
    with served_page(publish(make_placing_model(TEXTS), replace(facts_of(TEXTS), task="texts")), home) as address:
        yield address


def fill(tab: Page, **values: str) -> None:
    given = {"wind speed": "12.5", "price": "1, -2e3", "shelf": "3", "stock": str(LARGE), **values}
    for name, value in given.items():
        tab.get_by_label(name).fill(value)
    tab.get_by_label("new").select_option("yes")


def test_a_form_asks_exactly_what_stands_in_it(tab: Page, form: str) -> None:
    tab.goto(form)
    fill(tab)
    question = question_after(tab, lambda: tab.keyboard.press("Enter"))
    assert [(each["name"], each["shape"], each["data"]) for each in question["inputs"]] == [
        ("wind speed", [1], [12.5]),
        ("price", [1, 2], [1, -2000]),
        ("shelf", [1], [3]),
        ("stock", [1], [LARGE]),
        ("new", [1], [True]),
    ]
    expect_answer(tab, f"{form}/v2/models/shop/infer", question)


def test_after_the_first_answer_each_change_is_asked(tab: Page, form: str) -> None:
    tab.goto(form)
    tab.get_by_role("button", name="Fill in examples").click()
    question_after(tab, tab.get_by_role("button", name="Ask the model").click)
    tab.get_by_label("wind speed").fill("7")
    assert question_after(tab, lambda: tab.keyboard.press("Tab"))["inputs"][0]["data"] == [7]


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("wind speed", "fast", "found “fast”: expected a number such as 12.5"),
        ("wind speed", "61", "found 61: expected 0\u00a0to\u00a060"),
        ("wind speed", "", "found nothing: expected a value"),
        ("wind speed", "NaN", "found “NaN”: expected a number"),
        ("shelf", "1.5", "found “1.5”: expected a whole number"),
        ("stock", "9223372036854775808", "found 9223372036854775808: expected -9223372036854775808 to"),
        ("price", "1", "found 1 values: expected 2"),
    ],
)
def test_a_wrong_value_is_not_sent_but_explained(tab: Page, form: str, name: str, value: str, problem: str) -> None:
    tab.goto(form)
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    fill(tab, **{name: value})
    tab.get_by_role("button", name="Ask the model").click()
    field = tab.get_by_label(name)
    expect(field).to_be_focused()
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description(re.compile(re.escape(problem)))
    assert asked == []


def test_only_what_the_schema_lets_be_missing_may_be_left_empty(tab: Page, gaps: str) -> None:
    tab.goto(gaps)
    with tab.expect_request("**/infer") as asked:
        tab.get_by_label("shelf").fill("1")
        tab.keyboard.press("Enter")
    assert json.loads(asked.value.post_data or "")["inputs"][0]["data"] == [None]
    expect(tab.get_by_role("alert")).to_contain_text("not finite")  # this model cannot do without; the page says so


def test_a_text_is_one_of_its_choices_and_may_be_unknown_where_the_schema_says_so(tab: Page, texts: str) -> None:
    tab.goto(texts)
    assert tab.get_by_label("maker").locator("option").all_inner_texts() == ["unknown", "Ant", "Bee"]
    assert tab.get_by_label("size").locator("option").all_inner_texts() == ["choose…", "S", "M"]
    tab.get_by_role("button", name="Ask the model").click()
    expect(tab.get_by_label("size")).to_be_focused()
    expect(tab.get_by_label("size")).to_have_accessible_description(re.compile("found nothing: expected a value"))
    tab.get_by_label("size").select_option("M")
    question = question_after(tab, tab.get_by_role("button", name="Ask the model").click)
    assert [each["data"] for each in question["inputs"]] == [[None], ["M"]]
    tab.get_by_label("maker").select_option("Bee")
    question = question_after(tab, tab.get_by_role("button", name="Ask the model").click)
    assert [each["data"] for each in question["inputs"]] == [["Bee"], ["M"]]
    expect_answer(tab, f"{texts}/v2/models/texts/infer", question)


def test_a_refusal_and_a_silent_server_are_told(tab: Page, form: str) -> None:
    tab.goto(form)
    busy = {"status": 503, "json": {"error": "too many wait."}, "headers": {"retry-after": "2"}}
    tab.route("**/infer", lambda route: route.fulfill(**busy), times=1)
    fill(tab)
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("alert")).to_have_text("too many wait. Try again in 2 s.")
    tab.route("**/infer", lambda route: route.abort(), times=1)
    tab.get_by_role("button", name="Ask the model").click()
    expect(tab.get_by_role("alert")).to_have_text("The server cannot be reached: is it running?")
    question_after(tab, tab.get_by_role("button", name="Ask the model").click)
    expect(tab.get_by_role("alert")).to_be_hidden()
