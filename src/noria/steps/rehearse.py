"""Rehearse: ask the served candidate for held-out rows, singly and at once, and compare with its offline answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from noria.errors import ServingError
from noria.gates.evidence import ServingEvidence
from noria.ml.progress import Progress
from noria.steps.held_out import HeldOut, hold_out
from noria.steps.load import CONNECTIONS, Load, put_load, resident_mib
from noria.steps.served import TIMEOUT_SECONDS, Answer, Client, serving
from noria.steps.workspace import Workspace, digest_of

WARM_UP = 10  # requests that are not counted


@dataclass(frozen=True, kw_only=True)
class _Heard:
    """What was heard of the predictor: `answers` are those to one request after the other."""

    answers: list[Answer | None]
    load: Load
    memory_mib: float | None


def rehearse(
    workspace: Workspace,
    *,
    uri: str,
    bundle: str,
    validation_days: int,
    holdout_days: int,
    requests: int,
    load_requests: int,
    progress: Progress,
    root: Path | None = None,
) -> bytes:
    """Serve the candidate and ask it `requests` times, one row each, then for the same rows over several connections.

    The latter at most `load_requests` times and for two seconds. Returns ServingEvidence as JSON.

    `root` is the folder that `serving` is run from: the working folder, unless given. Raises ServingError where the
    server does not start; requests that fail are counted, not raised.
    """
    candidate = workspace.fetch_bundle(digest_of(bundle))
    days = {"validation_days": validation_days, "holdout_days": holdout_days}
    rows = hold_out(workspace, candidate, uri=uri, **days, count=requests)
    name = candidate.facts.task
    arguments = ["--bundle", str(candidate.folder), "--name", name]
    with serving(arguments, model=name, schema=candidate.facts.schema, root=root or Path.cwd()) as client:
        answers = _ask_one_by_one(client, rows, progress)
        load = put_load(client, rows.features, requests=load_requests)
        heard = _Heard(answers=answers, load=load, memory_mib=resident_mib(client))
    progress(f"{requests:,} requests, then {len(load.answers):,} over {CONNECTIONS} connections", 1.0)
    return msgspec.json.encode(_compare(candidate.digest, heard, rows), order="deterministic")


def _ask_one_by_one(client: Client, rows: HeldOut, progress: Progress) -> list[Answer | None]:
    answers: list[Answer | None] = []
    warm_up = min(WARM_UP, len(rows))
    for place in [*range(warm_up), *range(len(rows))]:
        try:
            answers.append(client.ask(rows.row(place)))
        except ServingError:
            answers.append(None)
        progress(f"{len(answers)} of {len(rows) + warm_up} requests", len(answers) / (len(rows) + warm_up))
    return answers[warm_up:]


def _compare(digest: str, heard: _Heard, rows: HeldOut) -> ServingEvidence:
    expected, classes = rows.probabilities, rows.probabilities.shape[1]

    def told(answers: Mapping[int, Answer | None]) -> list[tuple[Answer, int]]:
        return [
            (answer, place % len(rows))
            for place, answer in answers.items()
            if answer is not None and answer.is_of(digest, classes)
        ]

    borne = told(heard.load.answers)
    every = [*told(dict(enumerate(heard.answers))), *borne]
    # A request without an answer kept its client waiting for as long as a client waits.
    milliseconds = [1000 * (answer.seconds if answer else TIMEOUT_SECONDS) for answer in heard.answers]
    return ServingEvidence(
        bundle=digest,
        requests=len(heard.answers),
        load_requests=len(heard.load.answers),
        wrong=sum(int(answer.labels[0]) != int(rows.decisions[place]) for answer, place in every),
        max_difference=max(
            (float(np.abs(answer.probabilities[0] - expected[place]).max()) for answer, place in every), default=1.0
        ),
        p50_ms=round(float(np.percentile(milliseconds, 50)), 3),
        p95_ms=round(float(np.percentile(milliseconds, 95)), 3),
        errors=len(heard.answers) + len(heard.load.answers) - len(every),
        rows_per_second=round(len(borne) / heard.load.seconds, 1),
        memory_mib=None if heard.memory_mib is None else round(heard.memory_mib, 1),
    )
