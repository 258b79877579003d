"""Fixtures of the stores: ledgers in places of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from ledgers import A, B, C, Place, evaluate, promote, refusals


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, str(tmp_path / "objects"))


@pytest.fixture(params=["folder", "s3"])
def any_place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    address = str(tmp_path / "objects") if request.param == "folder" else request.getfixturevalue("s3_address")
    return Place(tmp_path, address)


@pytest.fixture
def full(place: Place) -> Place:
    place.publish("A")
    ledger = place.open()
    evaluate(ledger, B)
    promote(ledger, A)
    evaluate(ledger, C)
    promote(ledger, B)
    ledger.rollback(to=None, reason="complaints", actor="bert")
    assert refusals(place) == []
    return place
