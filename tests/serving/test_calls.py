"""Calls inside of one process: what a fault of ours does to the request that meets it, and to its neighbours."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
from predictor import PATIENCE
from questions import rows_of_many, v2
from website import load

import serving.answering
from serving.app import App
from serving.connection import Connection
from serving.exchange import Request, Response
from serving.front import Front
from serving.hub import Hub
from serving.metrics import make_metrics
from serving.options import Limits
from serving.slot import Slot


class Asked:
    """An exchange without a connection; `answers` are those of all exchanges, by their place."""

    def __init__(self, answers: dict[int, Response], place: int) -> None:
        self._answers, self._place = answers, place

    def respond(self, response: Response) -> None:
        assert self._place not in self._answers
        self._answers[self._place] = response


async def ask(app: App, bodies: list[Mapping[str, object]]) -> dict[int, Response]:
    """Ask all at once, so that they share a batch, and wait for all answers."""
    answers: dict[int, Response] = {}
    for place, body in enumerate(bodies):
        data = json.dumps(body).encode()
        app.handle(Request("POST", "/v2/models/wardrobe/infer", {}, data, 0.0), Asked(answers, place))  # type: ignore[arg-type]
    async with asyncio.timeout(PATIENCE):
        while len(answers) < len(bodies):
            await asyncio.sleep(0.01)
    return answers


def test_a_fault_in_writing_one_answer_is_told_and_takes_no_neighbour_along(
    many_bundle: Path, home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write = serving.answering.encode_v2
    monkeypatch.setattr(
        serving.answering, "encode_v2", lambda answer, wanted: 1 / 0 if answer.id == "bad" else write(answer, wanted)
    )

    async def main() -> dict[int, Response]:
        hub, metrics = Hub(), make_metrics()
        hub.add(Slot(load(many_bundle, home), Limits(), metrics))
        app = App(hub, Limits(), metrics, SimpleNamespace(draining=False))
        bodies = [v2(rows_of_many(1)) | {"id": name} for name in ("one", "bad", "three")]
        first = await ask(app, bodies)
        again = await ask(app, bodies)
        hub.close()
        return first | {place + 3: response for place, response in again.items()}

    with caplog.at_level(logging.ERROR):
        answers = asyncio.run(main())
    assert [answers[place].status for place in range(6)] == [200, 500, 200] * 2
    assert b"ZeroDivision" not in answers[1].body
    assert "fault while answering v2" in caplog.text


class Clogged:
    """A transport whose client reads nothing: what is written stays, so that closing never comes to its end."""

    def __init__(self) -> None:
        self.closing = self.aborted = False

    def write(self, data: bytes) -> None:
        pass

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.closing


def test_a_connection_that_closing_does_not_end_is_broken_off_at_its_next_deadline() -> None:
    async def main() -> tuple[bool, bool]:
        connection, transport = Connection(Front(Limits(), make_metrics(), lambda _: lambda *_: None)), Clogged()
        connection.connection_made(transport)  # type: ignore[arg-type]
        connection.expire()
        closed_only = transport.closing and not transport.aborted
        connection.expire()
        return closed_only, transport.aborted

    assert asyncio.run(main()) == (True, True)
