"""Fixtures of the predictor's tests: signed bundles of tiny models, and a predictor for many tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from predictor import Predictor, predictor
from tiny_models import MANY, ONE, SLOW, facts_of, make_model

from noria.ml.bundle import Facts, write_bundle
from noria.ml.signature import Signer, make_key

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose key is trusted."""
    folder = tmp_path_factory.mktemp("home")
    make_key(folder / "keys")
    return folder


@pytest.fixture(scope="session")
def signer(home: Path) -> Signer:
    return make_key(home / "keys")


@pytest.fixture(scope="session")
def publish(signer: Signer, tmp_path_factory: pytest.TempPathFactory) -> Callable[[bytes, Facts], Path]:
    def write(model: bytes, facts: Facts) -> Path:
        folder = tmp_path_factory.mktemp("bundles") / "bundle"
        write_bundle(folder, model=model, facts=facts, profile=b"{}", signer=signer)
        return folder

    return write


@pytest.fixture(scope="session")
def one_bundle(publish: Callable[[bytes, Facts], Path]) -> Path:
    return publish(make_model(ONE), facts_of(ONE))


@pytest.fixture(scope="session")
def many_bundle(publish: Callable[[bytes, Facts], Path]) -> Path:
    return publish(make_model(MANY), facts_of(MANY))


@pytest.fixture(scope="session")
def slow_bundle(publish: Callable[[bytes, Facts], Path]) -> Path:
    return publish(make_model(SLOW), facts_of(SLOW))


@pytest.fixture(scope="module")
def one(one_bundle: Path, home: Path) -> Iterator[Predictor]:
    """A predictor of the model with one feature."""
    with predictor(["--bundle", one_bundle, "--name", "shoes"], home) as running:
        yield running


@pytest.fixture(scope="module")
def many(many_bundle: Path, home: Path) -> Iterator[Predictor]:
    """A predictor of the model with five features, small limits, and its task's name."""
    limits = ["--max-rows", "8", "--max-body-bytes", "20000"]
    with predictor(["--bundle", many_bundle, *limits], home) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from tabs import chromium

    with chromium() as started:
        yield started


@pytest.fixture
def tab(browser: Browser) -> Iterator[Page]:
    from tabs import open_tab

    with open_tab(browser) as page:
        yield page
