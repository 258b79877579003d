"""Rehearse as a step: the real predictor serves a tiny model, and every answer of it is held to the offline one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from sums import sums_model

from noria.gates.evidence import ServingEvidence
from noria.ml.bundle import Calibration, Facts, write_bundle
from noria.ml.dataset import table_of, write_dataset
from noria.schema import Column, Schema
from noria.settings import Settings
from noria.steps import rehearse as step
from noria.steps.load import Load, put_load
from noria.steps.rehearse import rehearse
from noria.steps.served import Answer, Client
from noria.steps.workspace import Workspace

ROOT = Path(__file__).parents[2]
SCHEMA = Schema(
    columns=(
        Column(name="id", type="string", role="id"),
        Column(name="time", type="timestamp", role="time"),
        Column(name="size", type="float32", role="feature", shape=(2,)),
        Column(name="label", type="int64", role="label"),
    )
)
ROWS = 60  # over six days


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """What was published, in a workspace of its own."""

    workspace: Workspace
    dataset: str
    bundle: str

    def rehearse(self, *, requests: int = 30, load_requests: int = 200) -> ServingEvidence:
        found = rehearse(
            self.workspace, uri=self.dataset, bundle=self.bundle, validation_days=1, holdout_days=2,
            requests=requests, load_requests=load_requests, progress=lambda *_: None, root=ROOT,
        )  # fmt: skip
        return msgspec.json.decode(found, type=ServingEvidence)


@pytest.fixture(scope="module")
def candidate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Candidate]:
    folder = tmp_path_factory.mktemp("rehearse")
    workspace = Workspace(settings=Settings.from_environment({"NORIA_HOME": str(folder / "home")}))
    random = np.random.default_rng(1)
    rows = {
        "id": np.array([f"row-{place}" for place in range(ROWS)], object),
        "time": np.datetime64("2026-01-01", "us") + np.arange(ROWS) * np.timedelta64(144 * 60 * 10**6, "us"),
        "size": random.normal(size=(ROWS, 2)).astype(np.float32),
        "label": np.arange(ROWS) % 3,
    }
    dataset = write_dataset(folder / "dataset", "sums", SCHEMA, [table_of(SCHEMA, rows)])
    workspace.store.put_folder(f"datasets/{dataset.digest}", dataset.folder)
    facts = Facts(
        task="sums", schema=SCHEMA, classes=("a", "b", "c"), costs=tuple(map(tuple, (1 - np.eye(3)).tolist())),
        temperature=1.0, calibration=Calibration(ece_before=0.1, ece_after=0.1), training_data=dataset.digest,
        training_rows=ROWS, training_start=datetime(2026, 1, 1, tzinfo=UTC),
        training_end=datetime(2026, 1, 7, tzinfo=UTC), parameters={}, metrics={}, parity=0.0, code="test",
    )  # fmt: skip
    digest = write_bundle(folder / "bundle", model=sums_model(), facts=facts, profile=b"{}", signer=workspace.signer)
    workspace.store.put_folder(f"bundles/{digest}", folder / "bundle")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NORIA_HOME", str(folder / "home"))  # where the predictor finds the key that it trusts
        yield Candidate(
            workspace=workspace,
            dataset=workspace.store.uri(f"datasets/{dataset.digest}"),
            bundle=workspace.store.uri(f"bundles/{digest}"),
        )


def test_the_real_predictor_answers_one_by_one_and_at_once_as_the_bundle_does_offline(candidate: Candidate) -> None:
    found = candidate.rehearse()
    assert (found.requests, found.load_requests, found.wrong, found.errors) == (30, 200, 0, 0)
    assert candidate.bundle.endswith(found.bundle)
    assert found.max_difference < 1e-6
    assert 0 < found.p50_ms <= found.p95_ms < 10_000
    assert found.rows_per_second is not None
    assert 200 / 10 < found.rows_per_second < 200_000
    assert found.memory_mib is not None
    assert 10 < found.memory_mib < 1024


def spoil(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    """Let some of the answers under load be otherwise than the predictor gave them."""

    def put(client: Client, rows: Mapping[str, Any], *, requests: int) -> Load:
        load = put_load(client, rows, requests=requests)
        answers: dict[int, Answer | None] = {**load.answers}
        for number in (5, 17, 40):
            answer = answers[number]
            assert answer is not None
            answers[number] = change(answer)
        return replace(load, answers=answers)

    monkeypatch.setattr(step, "put_load", put)


@pytest.mark.parametrize(
    ("change", "wrong", "errors"),
    [
        (lambda _: None, 0, 3),
        (lambda answer: replace(answer, bundle="e" * 64), 0, 3),
        (lambda answer: replace(answer, fallback="rule"), 0, 3),
        (lambda answer: replace(answer, labels=(answer.labels + 1) % 3), 3, 0),
    ],
    ids=["no answer", "another bundle", "the bundle's rule", "another decision"],
)
def test_what_goes_wrong_under_load_stands_in_the_evidence(
    candidate: Candidate, monkeypatch: pytest.MonkeyPatch, change: Any, wrong: int, errors: int
) -> None:
    spoil(monkeypatch, change)
    found = candidate.rehearse(requests=12, load_requests=50)
    assert (found.requests, found.load_requests, found.wrong, found.errors) == (12, 50, wrong, errors)


def test_another_probability_under_load_is_found(candidate: Candidate, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, lambda answer: replace(answer, probabilities=answer.probabilities + 0.125))
    assert candidate.rehearse(requests=12, load_requests=50).max_difference == pytest.approx(0.125, abs=1e-6)


def test_fewer_requests_at_once_than_one_by_one_are_compared_with_their_own_rows(candidate: Candidate) -> None:
    found = candidate.rehearse(requests=25, load_requests=7)
    assert (found.load_requests, found.wrong, found.errors) == (7, 0, 0)
    assert found.max_difference < 1e-6


def test_a_predictor_that_tells_no_memory_leaves_it_out(candidate: Candidate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Client, "metrics", lambda _: "nothing\n")
    assert candidate.rehearse(requests=2, load_requests=2).memory_mib is None
