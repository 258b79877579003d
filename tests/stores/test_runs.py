"""Runs: what became of each, and whether it changed anything."""

from __future__ import annotations

import pytest

from noria.stores.runs import changed_nothing


@pytest.mark.parametrize(
    ("steps", "nothing"),
    [
        ({"ingest": 0.0, "judge": 0.0, "deploy": 0.0}, True),
        ({"ingest": 1.5, "judge": 0.0, "deploy": 0.0}, True),
        ({"ingest": 0.0, "judge": 0.0, "deploy": 0.1}, False),
        ({"ingest": 0.0, "judge": 0.0}, False),
        ({}, False),
    ],
)
def test_a_run_changed_nothing_if_deploy_was_found_done(steps: dict[str, float], nothing: bool) -> None:
    assert changed_nothing(steps) is nothing
