"""Tabs of a real browser, and what one does with the predictor's page there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from tiny_models import CLASSES

OWN = ("http://127.0.0.1:", "data:")


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser; a test that asks for it is skipped where there is none.

    Keep it no longer than for a module: Playwright has an event loop running in the thread, where others start theirs.
    """
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("found no Chromium to show the page in: install Debian's package chromium")
    with sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=path)
        yield browser
        browser.close()


@contextmanager
def open_tab(browser: Browser, **settings: Any) -> Iterator[Page]:
    """A tab in which nothing may go wrong: no error in the console, no request to anybody else."""
    with browser.new_context(locale="en-US", **settings) as context:
        page = context.new_page()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text))
        page.on("request", lambda request: None if request.url.startswith(OWN) else wrong.append(request.url))
        yield page
        # The browser notes a refusal in its console; the page has shown it to the reader.
        assert [text for text in wrong if not text.startswith("Failed to load resource")] == []


def question_after(tab: Page, act: Callable[[], object]) -> dict[str, Any]:
    """Do something, and return what the page asks because of it, once it shows the answer."""
    with tab.expect_response("**/infer") as asked:
        act()
    expect(tab.get_by_text("Round trip")).to_be_visible()
    return json.loads(asked.value.request.post_data)


def expect_answer(tab: Page, address: str, question: dict[str, Any]) -> None:
    """The page shows what the server says to whoever else asks the same."""
    answer = httpx.post(address, json=question).json()
    outputs = {each["name"]: each["data"] for each in answer["outputs"]}
    shares = [f"{share:.1%}" for share in outputs["probabilities"]]
    decision = outputs["label"][0]
    expect(tab.locator("#bars .class")).to_have_text(list(CLASSES))
    expect(tab.locator("#bars .share")).to_have_text(shares)
    expect(tab.locator("#decision")).to_have_text(f"{CLASSES[decision]} {shares[decision]}")
    expect(tab.get_by_text(answer["parameters"]["bundle"][:12])).to_be_visible()
