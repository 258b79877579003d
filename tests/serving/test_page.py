import base64
import hashlib
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from tabs import expect_answer, open_tab, question_after
from tiny_models import facts_of, make_model
from website import load, lone_page, served_page

from noria.ml.bundle import Facts
from noria.schema import Column
from serving import page as served

PICTURE = (Column(name="image", type="uint8", role="feature", shape=(28, 28), description="white on black"),)
SHELF = Column(name="shelf", type="int64", role="feature", unit="floor", minimum=0, maximum=4)
MIXED = (*PICTURE, SHELF, Column(name="price", type="float64", role="feature", shape=(2,)))


@pytest.fixture(scope="module")
def pictures(publish: Callable[[bytes, Facts], Path], home: Path) -> Iterator[str]:
    with served_page(publish(make_model(PICTURE), replace(facts_of(PICTURE), task="garments")), home) as address:
        yield address


@pytest.fixture(scope="module")
def mixed(publish: Callable[[bytes, Facts], Path], home: Path) -> Iterator[str]:
    with served_page(publish(make_model(MIXED), replace(facts_of(MIXED), task="shop")), home) as address:
        yield address


def garment(border: int) -> np.ndarray:
    greys = np.full((28, 28), border, np.uint8)
    greys[4:24, 4:24] = np.random.default_rng(3).integers(0, 256, (20, 20))
    return greys


def png(greys: np.ndarray) -> dict[str, Any]:
    file = io.BytesIO()
    Image.fromarray(greys).save(file, "PNG")
    return {"name": "garment.png", "mimeType": "image/png", "buffer": file.getvalue()}


def pixels(question: dict[str, Any]) -> np.ndarray:
    return np.array(question["inputs"][0]["data"]).reshape(28, 28)


def test_a_drawing_is_answered_while_the_pen_is_still_down(tab: Page, pictures: str) -> None:
    tab.goto(pictures)
    expect(tab.get_by_role("heading", name="Nothing drawn yet")).to_be_visible()
    tab.get_by_role("application", name="image, 28 by 28 cells").hover(position={"x": 100, "y": 200})
    question = question_after(tab, tab.mouse.down)
    box = tab.locator("canvas").first.bounding_box()
    row, column = int(200 / box["height"] * 28), int(100 / box["width"] * 28)
    assert pixels(question)[row, column] == 255
    assert pixels(question).sum() < 28 * 28 * 255 / 20  # and the rest is black
    expect_answer(tab, f"{pictures}/v2/models/garments/infer", question)
    tab.mouse.up()


def test_a_finger_draws_as_well(browser: Browser, pictures: str) -> None:
    with open_tab(browser, has_touch=True, viewport={"width": 360, "height": 740}) as tab:
        tab.goto(pictures)
        assert pixels(question_after(tab, lambda: tab.touchscreen.tap(180, 300))).max() > 200


def test_a_picture_of_the_models_size_arrives_dot_by_dot(tab: Page, pictures: str) -> None:
    tab.goto(pictures)
    question = question_after(tab, lambda: tab.get_by_label("Choose a picture").set_input_files(png(garment(0))))
    assert np.array_equal(pixels(question), garment(0))
    expect_answer(tab, f"{pictures}/v2/models/garments/infer", question)


def test_a_bright_picture_is_inverted_and_a_switch_says_so(tab: Page, pictures: str) -> None:
    tab.goto(pictures)
    question = question_after(tab, lambda: tab.get_by_label("Choose a picture").set_input_files(png(garment(255))))
    assert np.array_equal(pixels(question), 255 - garment(255))
    switch = tab.get_by_role("switch", name="Invert")
    expect(switch).to_be_checked()
    assert np.array_equal(pixels(question_after(tab, switch.uncheck)), garment(255))


def test_a_large_coloured_picture_is_fitted_and_made_grey(tab: Page, pictures: str) -> None:
    tall = np.zeros((1200, 600, 3), np.uint8)
    tall[300:900, 100:500] = (255, 0, 0)
    tab.goto(pictures)
    greys = pixels(question_after(tab, lambda: tab.get_by_label("Choose a picture").set_input_files(png(tall))))
    assert abs(int(greys[14, 14]) - 76) <= 1  # red's part of the brightness
    assert greys[:, :7].max() == greys[:, 21:].max() == 0  # half as wide as high, in the middle


def test_a_picture_can_be_dropped_anywhere(tab: Page, pictures: str) -> None:
    tab.goto(pictures)
    content = base64.b64encode(png(garment(0))["buffer"]).decode()
    make = """content => {
        const data = new DataTransfer();
        const bytes = Uint8Array.from(atob(content), one => one.charCodeAt());
        data.items.add(new File([bytes], "a.png", {type: "image/png"}));
        return data;
    }"""
    dropped = tab.evaluate_handle(make, content)
    question = question_after(tab, lambda: tab.locator("footer").dispatch_event("drop", {"dataTransfer": dropped}))
    assert np.array_equal(pixels(question), garment(0))


def test_a_file_that_is_no_picture_is_named(tab: Page, pictures: str) -> None:
    tab.goto(pictures)
    text = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no picture"}
    tab.get_by_label("Choose a picture").set_input_files(text)
    expect(tab.get_by_role("alert").filter(has_text="“notes.txt” is no picture")).to_be_visible()


def test_one_can_draw_and_take_back_with_the_keyboard_alone(tab: Page, pictures: str) -> None:
    tab.goto(pictures)
    tab.keyboard.press("Tab")
    expect(tab.get_by_role("application")).to_be_focused()
    dot = pixels(question_after(tab, lambda: tab.keyboard.press("Space")))
    line = pixels(question_after(tab, lambda: tab.keyboard.press("Shift+ArrowLeft")))
    assert line.sum() > dot.sum() > 0
    expect(tab.get_by_role("status")).to_contain_text("%")  # the answer is said once the drawing rests
    tab.keyboard.press("Delete")
    expect(tab.get_by_role("heading", name="Nothing drawn yet")).to_be_visible()


def test_a_picture_may_be_one_field_of_several(tab: Page, mixed: str) -> None:
    tab.goto(mixed)
    tab.get_by_label("Choose a picture").set_input_files(png(garment(0)))
    tab.get_by_label("shelf").fill("3")
    tab.get_by_label("price").fill("1 2")
    question = question_after(tab, tab.get_by_role("button", name="Ask the model").click)
    assert np.array_equal(pixels(question), garment(0))
    expect_answer(tab, f"{mixed}/v2/models/shop/infer", question)


def test_markup_in_a_schema_is_only_text(tab: Page, publish: Callable[[bytes, Facts], Path], home: Path) -> None:
    evil = "</script><img src=x onerror=document.title='broken'>$name"
    columns = (SHELF, replace(MIXED[2], description=evil, unit=evil))
    facts = replace(facts_of(columns), classes=(evil, "bag", "coat"))
    model = replace(load(publish(make_model(columns), facts), home), name=evil)
    with lone_page([model]) as address:
        tab.goto(address)
        expect(tab).to_have_title(f"{evil} · Noria")
        expect(tab.get_by_role("heading", name=evil)).to_be_visible()
        for place in (".hint", ".unit", "#bars .class"):
            expect(tab.locator(place).filter(has_text=evil).first).to_be_visible()
        assert tab.locator("img").count() == 0


def test_one_of_several_models_is_chosen_by_name(
    tab: Page, publish: Callable[[bytes, Facts], Path], home: Path
) -> None:
    first, second = (load(publish(make_model(columns), facts_of(columns)), home) for columns in (PICTURE, MIXED))
    with lone_page([first, second, replace(second, name="shop")]) as address:
        tab.goto(address)
        chooser = tab.get_by_label("Model", exact=True)
        expect(chooser.locator("option")).to_have_text(["wardrobe", f"wardrobe/{second.version}", "shop"])
        chooser.select_option("shop")
        expect(tab.get_by_role("heading", name="shop")).to_be_visible()
        expect(tab.get_by_label("shelf")).to_be_visible()
        assert tab.url.endswith("#shop")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_screen(browser: Browser, pictures: str, mixed: str, width: int, scheme: Any) -> None:
    with open_tab(browser, viewport={"width": width, "height": 740}, color_scheme=scheme) as tab:
        for address in (pictures, mixed):
            tab.goto(address)
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
            dark = tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(19, 22, 22)"
            assert dark == (scheme == "dark")


def test_the_policy_allows_this_script_and_this_style_and_no_other(pictures: str) -> None:
    reply = httpx.get(pictures, headers={"accept": "text/html"})
    policy = reply.headers["content-security-policy"]
    for tag, kind in ((r'script type="module"', "script"), ("style", "style")):
        (text,) = re.findall(rf"<{tag}>(.*?)</{kind}>", reply.text, re.S)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}';" in policy
    assert "unsafe" not in policy
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", served.render.__globals__["_SCRIPT"] + reply.text)
