"""Candidates of a task with a tiny model, judged and passed, in a workspace whose objects lie in a real S3."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
from gates.known_evidence import comparison, good_evidence
from sums import sums_model

from noria.gates.evidence import Evidence
from noria.gates.judge import judge
from noria.gates.limits import Limits
from noria.ml.bundle import Calibration, Facts, write_bundle
from noria.ml.dataset import table_of, write_dataset
from noria.ml.manifest import digest_of
from noria.ml.progress import silent
from noria.schema import Column, Schema
from noria.settings import Settings
from noria.steps.deploy import deploy
from noria.steps.exhibit import Exhibit, keep_exhibit, summarise
from noria.steps.judge import Decision
from noria.steps.stage import Stage
from noria.steps.workspace import Workspace

TASK = "fashion"  # a task that the command knows; what is released is a tiny model of its name
SCHEMA = Schema(
    columns=(
        Column(name="id", type="string", role="id"),
        Column(name="time", type="timestamp", role="time"),
        Column(name="size", type="float32", role="feature", shape=(2,)),
        Column(name="label", type="int64", role="label"),
    )
)
ROWS = 60  # over six days
DAYS = {"validation_days": 1, "holdout_days": 2}


@dataclass(frozen=True, kw_only=True)
class Release:
    """What the step deploy is given for one candidate."""

    dataset: str
    bundle: str
    decision: str
    plan: str
    basis: str

    @property
    def digest(self) -> str:
        return self.bundle.rpartition("/")[2]

    @property
    def words(self) -> dict[str, object]:
        given = {"uri": self.dataset, "bundle": self.bundle, "decision": self.decision, **DAYS}
        return {**given, "plan": self.plan, "basis": self.basis, "code": "test"}


@dataclass(kw_only=True)
class Candidates:
    """A workspace, and the makers of what a release needs."""

    folder: Path
    objects: str
    workspace: Workspace = field(init=False)
    dataset: str = field(init=False)

    def __post_init__(self) -> None:
        environment = {"NORIA_HOME": str(self.folder / "home"), "NORIA_OBJECTS": self.objects}
        self.workspace = Workspace(settings=Settings.from_environment(environment))
        self.keys = self.workspace.signer and self.workspace.settings.trusted_keys
        random = np.random.default_rng(1)
        rows = {
            "id": np.array([f"row-{place}" for place in range(ROWS)], object),
            "time": np.datetime64("2026-01-01", "us") + np.arange(ROWS) * np.timedelta64(144 * 60 * 10**6, "us"),
            "size": random.normal(size=(ROWS, 2)).astype(np.float32),
            "label": np.arange(ROWS) % 3,
        }
        made = write_dataset(self.folder / "dataset", TASK, SCHEMA, [table_of(SCHEMA, rows)])
        self.workspace.store.put_folder(f"datasets/{made.digest}", made.folder)
        self.dataset = self.workspace.store.uri(f"datasets/{made.digest}")

    @property
    def ledger(self):  # type: ignore[no-untyped-def]
        return self.workspace.ledger(TASK, writable=True)

    @property
    def champion(self) -> str:
        found = self.ledger.champion()
        return found.bundle if found else ""

    @property
    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.ledger.entries()]

    def publish(self, weight: float) -> str:
        """Publish a bundle whose model has this weight; returns its address."""
        facts = Facts(
            task=TASK, schema=SCHEMA, classes=("a", "b", "c"), costs=tuple(map(tuple, (1 - np.eye(3)).tolist())),
            temperature=1.0, calibration=Calibration(ece_before=0.1, ece_after=0.1),
            training_data=self.dataset.rpartition("/")[2], training_rows=ROWS,
            training_start=datetime(2026, 1, 1, tzinfo=UTC), training_end=datetime(2026, 1, 7, tzinfo=UTC),
            parameters={}, metrics={}, parity=0.0, code="test",
        )  # fmt: skip
        folder = self.folder / f"bundle-{weight}"
        digest = write_bundle(
            folder, model=sums_model(weight), facts=facts, profile=b"{}", signer=self.workspace.signer
        )
        self.workspace.store.put_folder(f"bundles/{digest}", folder)
        return self.workspace.store.uri(f"bundles/{digest}")

    def judged(self, weight: float) -> Release:
        """Publish a bundle and let it pass the gates, compared with the present champion."""
        bundle = self.publish(weight)
        digest, champion, basis = bundle.rpartition("/")[2], self.champion, self.ledger.basis()
        evidence = about(digest, self.dataset.rpartition("/")[2], champion)
        verdict = judge(evidence, Limits())
        assert verdict.passed, summarise(verdict)
        kept = keep_exhibit(self.ledger, Exhibit(evidence=evidence, limits=Limits()))
        plan = digest_of(f"{weight} {basis}".encode())
        self.ledger.record_evaluation(
            bundle=digest, champion=champion, plan=plan, basis=basis, evidence=kept, passed=True, reason="passed",
            actor="pipeline", code="test",
        )  # fmt: skip
        decision = Decision(evidence=evidence, limits=Limits(), verdict=verdict, evidence_digest=kept, report="")
        file = self.folder / f"decision-{weight}.json"
        file.write_bytes(msgspec.json.encode(decision))
        return Release(dataset=self.dataset, bundle=bundle, decision=str(file), plan=plan, basis=basis)

    def deploy(self, release: Release, stage: Stage | None) -> str:
        return deploy(self.workspace, **release.words, progress=silent, stage=stage)  # type: ignore[arg-type]


def about(bundle: str, dataset: str, champion: str) -> Evidence:
    good = good_evidence()
    assert good.evaluation is not None
    comparisons = dict(good.evaluation.comparisons)
    if bundle == champion:
        even = comparison(0.0)
        comparisons["champion"] = replace(even, whole=replace(even.whole, lower=0.0))
    return replace(
        good,
        data=replace(good.data, dataset=dataset),
        serving=replace(good.serving, bundle=bundle),
        parity=replace(good.parity, bundle=bundle),
        evaluation=replace(good.evaluation, bundle=bundle, dataset=dataset, champion=champion, comparisons=comparisons),
    )
