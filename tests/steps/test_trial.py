"""The trial: what serves is held to the bundle's offline answers, and what is on its way out may still answer."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stand_in import Answering, sizes, stand_in

from noria.errors import ReleaseError
from noria.ml.bundle import Bundle
from noria.steps import trial
from noria.steps.held_out import HeldOut
from noria.steps.trial import try_out

OWN, OTHER = "a" * 64, "b" * 64
ROWS = 50


@dataclass(frozen=True)
class _Facts:
    task: str
    schema: Any


BUNDLE = Bundle(
    digest=OWN, folder=Path(), key_id="", facts=_Facts("m", sizes("float32")), model=b"", profile=b""  # type: ignore[arg-type]
)  # fmt: skip
ANSWERS = np.tile([0.25, 0.75], (ROWS, 1))
HELD_OUT = HeldOut(
    features={"size": np.arange(ROWS, dtype=np.float32)}, probabilities=ANSWERS, decisions=np.ones(ROWS, np.int64),
    there=ROWS,
)  # fmt: skip


def answer(*, bundle: str = OWN, probability: float = 0.75, label: int = 1, fallback: str = "") -> tuple[int, bytes]:
    outputs = [
        {"name": "probabilities", "shape": [1, 2], "data": [1 - probability, probability]},
        {"name": "label", "shape": [1], "data": [label]},
    ]
    parameters = {"bundle": bundle, **({"fallback": fallback} if fallback else {})}
    return 200, json.dumps({"id": "1", "outputs": outputs, "parameters": parameters}).encode()


@contextmanager
def served(answering: Answering) -> Iterator[Callable[[], http.client.HTTPConnection]]:
    with stand_in(sizes("float32"), answering) as client:
        yield lambda: http.client.HTTPConnection(client.connection.host, client.connection.port, timeout=10)


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "PAUSE", 0.01)


def test_equal_answers_pass_and_the_largest_difference_is_told() -> None:
    with served(lambda asked: answer(probability=0.75 + (4e-6 if asked["inputs"][0]["data"] == [7.0] else 0))) as reach:
        found = try_out(reach, BUNDLE, HELD_OUT, limit=1e-5, seconds=5.0)
    assert found == pytest.approx(4e-6, abs=1e-9)


def test_a_difference_over_the_limit_ends_it_at_once() -> None:
    asked: list[object] = []

    def answering(request: object) -> tuple[int, bytes]:
        asked.append(request)
        return answer(probability=0.7501)

    with served(answering) as reach, pytest.raises(ReleaseError, match=r"held-out row 0 differs by 0\.0001"):
        try_out(reach, BUNDLE, HELD_OUT, limit=1e-5, seconds=60.0)
    assert len(asked) == 1


def test_what_is_no_number_is_no_equal_answer() -> None:
    rows = replace(HELD_OUT, probabilities=np.full((ROWS, 2), np.nan))
    with served(lambda _: answer()) as reach, pytest.raises(ReleaseError, match="answers otherwise"):
        try_out(reach, BUNDLE, rows, limit=1e-5, seconds=60.0)


def test_another_decision_from_equal_probabilities_is_refused() -> None:
    with served(lambda _: answer(label=0)) as reach, pytest.raises(ReleaseError, match=r"decided 0; expected .* 1"):
        try_out(reach, BUNDLE, HELD_OUT, limit=1e-5, seconds=60.0)


@pytest.mark.parametrize(
    "first",
    [answer(bundle=OTHER), answer(fallback="rule"), (503, b"not now")],
    ids=["what served before", "the rule of the bundle", "no answer"],
)
def test_what_is_on_its_way_out_begins_it_anew(first: tuple[int, bytes]) -> None:
    told = [answer()] * 30 + [first] + [answer()] * 200
    asked: list[object] = []

    def answering(request: object) -> tuple[int, bytes]:
        asked.append(request)
        return told[len(asked) - 1]

    with served(answering) as reach:
        try_out(reach, BUNDLE, HELD_OUT, limit=1e-5, seconds=30.0)
    assert len(asked) == 31 + ROWS


@pytest.mark.parametrize(
    ("always", "said"),
    [
        (answer(bundle=OTHER), f"bundle {OTHER[:12]} answered: expected {OWN[:12]}"),
        (answer(fallback="rule"), f"the rule of bundle {OWN[:12]} answered"),
        ((500, b"broken"), "answered 500"),
    ],
)
def test_what_never_answers_for_itself_is_refused_in_the_end(always: tuple[int, bytes], said: str) -> None:
    with served(lambda _: always) as reach, pytest.raises(ReleaseError, match=said):
        try_out(reach, BUNDLE, HELD_OUT, limit=1e-5, seconds=0.2)


def test_replicas_are_reached_over_several_connections() -> None:
    made: list[http.client.HTTPConnection] = []
    with served(lambda _: answer()) as reach:

        def counted() -> http.client.HTTPConnection:
            made.append(reach())
            return made[-1]

        try_out(counted, BUNDLE, HELD_OUT, limit=1e-5, seconds=5.0)
    assert len(made) == 3
    assert all(each.sock is None for each in made)
