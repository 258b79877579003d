"""Trial: ask what serves for held-out rows, and hold its answers to the bundle's own, before it is champion."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable

import numpy as np

from noria.errors import ReleaseError, ServingError
from noria.ml.bundle import Bundle
from noria.steps.held_out import HeldOut
from noria.steps.served import Client

ROWS = 200
IN_A_ROW = 20  # requests over one connection: each new one may lead to another of the replicas
PAUSE = 1.0


def try_out(
    reach: Callable[[], http.client.HTTPConnection], bundle: Bundle, rows: HeldOut, *, limit: float, seconds: float
) -> float:
    """Ask for every row, one a request; returns the largest difference of a probability.

    ReleaseError where one is over the limit, or another decision is made. A request that fails, or that something else
    than the bundle answers, begins it all anew, until `seconds` are over: what served before may still be on its way
    out.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return _ask(reach, bundle, rows, limit)
        except ReleaseError:
            raise
        except ServingError as error:
            if time.monotonic() + PAUSE > deadline:
                raise ReleaseError(f"what serves was asked for {len(rows)} rows in vain: {error}") from error
        time.sleep(PAUSE)


def _ask(reach: Callable[[], http.client.HTTPConnection], bundle: Bundle, rows: HeldOut, limit: float) -> float:
    largest = 0.0
    for start in range(0, len(rows), IN_A_ROW):
        connection = reach()
        client = Client(connection=connection, model=bundle.facts.task, schema=bundle.facts.schema)
        try:
            for place in range(start, min(start + IN_A_ROW, len(rows))):
                largest = max(largest, _compare(client, bundle, rows, place, limit))
        finally:
            connection.close()
    return largest


def _compare(client: Client, bundle: Bundle, rows: HeldOut, place: int, limit: float) -> float:
    answer = client.ask(rows.row(place))
    if not answer.is_of(bundle.digest, rows.probabilities.shape[1]):
        what = f"the {answer.fallback} of bundle" if answer.fallback else "bundle"
        raise ServingError(f"{what} {answer.bundle[:12]} answered: expected {bundle.digest[:12]}, and its model")
    difference = float(np.abs(answer.probabilities[0] - rows.probabilities[place]).max())
    if not difference <= limit or int(answer.labels[0]) != int(rows.decisions[place]):
        raise ReleaseError(
            f"bundle {bundle.digest[:12]} answers otherwise where it serves than offline: held-out row {place} differs "
            f"by {difference:.3g}, decided {int(answer.labels[0])}; expected at most {limit:g}, and "
            f"{int(rows.decisions[place])}. Compare the images and libraries of the two"
        )
    return difference
