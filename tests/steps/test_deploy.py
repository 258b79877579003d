"""Deploy: before the ledger names a candidate, what serves is asked for two hundred rows that it never saw."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cluster_api import candidates
from cluster_api.candidates import SCHEMA, Candidates
from stand_in import Answering, stand_in

from noria.ml.inference import Session, predict
from noria.steps.deploy import deploy

HELD_OUT_DAYS = 25  # of ten rows each


class OneStage:
    """A stage on which the candidate comes up at once, and answers as its turn's server does."""

    def __init__(self, reach: Callable[[], http.client.HTTPConnection]) -> None:
        self.reach = reach
        self._named = ""

    @contextmanager
    def turn(self, task: str, who: str) -> Iterator[OneStage]:
        yield self

    def named(self) -> str:
        return self._named

    def bring_up(self, bundle: str, *, plan: str) -> None:
        self._named = bundle

    def explain(self) -> str:
        return "nothing"

    def put_back(self, bundle: str, champion: str) -> bool:
        self._named = champion
        return True


@contextmanager
def staged(answering: Answering) -> Iterator[OneStage]:
    with stand_in(SCHEMA, answering) as client:
        yield OneStage(lambda: http.client.HTTPConnection(client.connection.host, client.connection.port, timeout=10))


@pytest.mark.parametrize(("days", "distinct"), [(HELD_OUT_DAYS, 200), (5, 50)])
def test_what_serves_is_asked_for_two_hundred_rows_and_a_smaller_holdout_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int, distinct: int
) -> None:
    monkeypatch.setattr(candidates, "ROWS", 300)
    made = Candidates(folder=tmp_path, objects=str(tmp_path / "objects"))
    release = made.judged(1.0)
    session = Session.load(made.workspace.fetch_bundle(release.digest).model, threads=1)
    asked: list[tuple[float, ...]] = []
    said: list[str] = []

    def answer(request: dict[str, Any]) -> tuple[int, bytes]:
        (size,) = request["inputs"]
        asked.append(tuple(size["data"]))
        (probabilities,) = predict(session, {"size": np.array([size["data"]], np.float32)})
        outputs = [
            {"name": "probabilities", "shape": [1, 3], "data": probabilities.tolist()},
            {"name": "label", "shape": [1], "data": [int(probabilities.argmax())]},
        ]
        return 200, json.dumps({"id": "1", "outputs": outputs, "parameters": {"bundle": release.digest}}).encode()

    words: dict[str, Any] = {**release.words, "holdout_days": days}
    with staged(answer) as stage:
        deploy(made.workspace, **words, progress=lambda text, _: said.append(text), stage=stage)
    assert made.champion == stage.named() == release.digest
    assert (len(asked), len(set(asked))) == (200, distinct)
    few = "" if distinct == 200 else ", over and over the 50 that the holdout has"
    assert f"{release.digest[:12]} serves: asking it for 200 rows{few}" in said
    assert any(text.startswith("200 answers differ by") for text in said)
