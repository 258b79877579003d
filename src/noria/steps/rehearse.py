"""Rehearse: ask the served candidate for held-out rows, and compare with its offline answers."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from noria.errors import ServingError
from noria.gates.evidence import ServingEvidence
from noria.ml.decision import decide
from noria.ml.inference import Session, predict
from noria.ml.progress import Progress
from noria.ml.splits import split_by_time
from noria.steps.served import TIMEOUT_SECONDS, Answer, serving
from noria.steps.workspace import Workspace, digest_of

WARM_UP = 10  # requests that are not counted


def rehearse(
    workspace: Workspace,
    *,
    uri: str,
    bundle: str,
    validation_days: int,
    holdout_days: int,
    requests: int,
    progress: Progress,
    root: Path | None = None,
) -> bytes:
    """Serve the candidate and ask it `requests` times, one row each; returns ServingEvidence as JSON.

    `root` is the folder that `serving` is run from: the working folder, unless given. Raises ServingError where the
    server does not start; requests that fail are counted, not raised.
    """
    candidate = workspace.fetch_bundle(digest_of(bundle))
    schema = candidate.facts.schema
    dataset = workspace.fetch_dataset(uri)
    rows = dataset.load([schema.time.name, *(column.name for column in schema.features)])
    split = split_by_time(rows[schema.time.name], validation_days=validation_days, holdout_days=holdout_days)
    asked = split.holdout[np.arange(requests) % len(split.holdout)]
    features = {column.name: rows[column.name][asked] for column in schema.features}
    expected = predict(Session.load(candidate.model, threads=1), features)
    answers: list[Answer | None] = []
    name = candidate.facts.task
    arguments = ["--bundle", str(candidate.folder), "--name", name]
    with serving(arguments, model=name, schema=schema, root=root or Path.cwd()) as client:
        for place in [*range(min(WARM_UP, requests)), *range(requests)]:
            try:
                answers.append(client.ask({key: values[place : place + 1] for key, values in features.items()}))
            except ServingError:
                answers.append(None)
            progress(f"{len(answers)} of {requests + WARM_UP} requests", len(answers) / (requests + WARM_UP))
    counted = answers[min(WARM_UP, requests) :]
    return msgspec.json.encode(
        _compare(candidate.digest, counted, expected, decide(expected, candidate.facts.costs)), order="deterministic"
    )


def _compare(
    digest: str, answers: list[Answer | None], expected: NDArray[np.float64], decisions: NDArray[np.int64]
) -> ServingEvidence:
    told = [
        (answer, place)
        for place, answer in enumerate(answers)
        if answer is not None and answer.bundle == digest and answer.probabilities.shape[1] == expected.shape[1]
    ]
    # A request without an answer kept its client waiting for as long as a client waits.
    milliseconds = [1000 * (answer.seconds if answer else TIMEOUT_SECONDS) for answer in answers]
    return ServingEvidence(
        bundle=digest,
        requests=len(answers),
        wrong=sum(int(answer.labels[0]) != int(decisions[place]) for answer, place in told),
        max_difference=max(
            (float(np.abs(answer.probabilities[0] - expected[place]).max()) for answer, place in told), default=1.0
        ),
        p50_ms=round(float(np.percentile(milliseconds, 50)), 3),
        p95_ms=round(float(np.percentile(milliseconds, 95)), 3),
        errors=len(answers) - len(told),
    )
