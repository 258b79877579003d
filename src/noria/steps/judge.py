"""Judge: put the evidence before the gates, write the verdict down, and make the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from numpy.typing import NDArray

from noria.errors import EvidenceError
from noria.gates.evidence import DataEvidence, Evidence, ParityEvidence, ServingEvidence
from noria.gates.judge import judge as ask_gates
from noria.gates.limits import Limits
from noria.gates.results import Verdict
from noria.ml.bundle import Bundle
from noria.ml.dataset import Dataset
from noria.ml.scores import Evaluation
from noria.steps.exhibit import Exhibit, keep_exhibit, summarise
from noria.steps.groups import read_group
from noria.steps.workspace import Workspace, digest_of, now, report_key
from noria.task import Rows

PARITY_ROWS = 1000
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A verdict with all that it rests on: whoever doubts it can reach it again."""

    evidence: Evidence
    limits: Limits
    verdict: Verdict
    evidence_digest: str  # of the object evidence/<digest>.json, which holds evidence and limits
    report: str  # key of the report in the object store


@dataclass(frozen=True, kw_only=True)
class Judged:
    decision: Decision
    page: str

    @property
    def encoded(self) -> bytes:
        return msgspec.json.encode(self.decision, order="deterministic")

    @property
    def word(self) -> str:
        """What the pipeline branches on."""
        return "promote" if self.decision.verdict.passed else "refuse"


def judge(
    workspace: Workspace,
    *,
    uri: str,
    bundle: str,
    evidence: Mapping[str, str],
    limits: Mapping[str, float],
    plan: str,
    basis: str,
    code: str,
) -> Judged:
    """Reach a verdict from the evidence files (data, evaluation, serving) and enter it in the ledger.

    Raises EvidenceError where a piece is missing or belongs to another bundle.
    """
    candidate = workspace.fetch_bundle(digest_of(bundle))
    shown = Evidence(
        data=_read(Path(evidence["data"]), DataEvidence),
        evaluation=_read(Path(evidence["evaluation"]), Evaluation),
        serving=_read(Path(evidence["serving"]), ServingEvidence),
        parity=ParityEvidence(
            bundle=candidate.digest,
            rows=min(PARITY_ROWS, candidate.facts.training_rows),
            max_difference=candidate.facts.parity,
        ),
    )
    bounds = read_group("limits", limits, Limits)
    verdict = ask_gates(shown, bounds)
    if verdict.bundle != candidate.digest:
        raise EvidenceError(
            f"the evidence is of bundle {verdict.bundle[:12]}, the candidate is {candidate.digest[:12]}: evaluate it"
        )
    ledger = workspace.ledger(candidate.facts.task, writable=True)
    digest = keep_exhibit(ledger, Exhibit(evidence=shown, limits=bounds))
    ledger.record_evaluation(
        bundle=candidate.digest,
        champion=verdict.champion,
        plan=plan,
        basis=basis,
        evidence=digest,
        passed=verdict.passed,
        reason=summarise(verdict),
        actor="pipeline",
        code=code,
    )
    page = _page(workspace.fetch_dataset(uri), candidate, shown, verdict, code)
    key = report_key(digest, "evaluation.html")
    workspace.store.put(key, page.encode())
    made = Decision(evidence=shown, limits=bounds, verdict=verdict, evidence_digest=digest, report=key)
    return Judged(decision=made, page=page)


def _read(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError) as error:
        raise EvidenceError(f"{path} holds no {kind.__name__} ({error}): run the step that makes it again") from error


def _page(dataset: Dataset, candidate: Bundle, shown: Evidence, verdict: Verdict, code: str) -> str:
    from noria.reports.evaluation import evaluation_page
    from noria.reports.page import PageContext

    if shown.evaluation is None:
        raise EvidenceError("there is no evaluation to report: run evaluate")
    rows = dataset.load()
    places = _places(rows[dataset.schema.id.name], [item.id for item in shown.evaluation.most_wrong])
    context = PageContext(task=candidate.facts.task, created=now(), code=code)
    wrong: Rows = {name: values[places] for name, values in rows.items()}
    return evaluation_page(shown.evaluation, verdict, dataset.schema, wrong, context)


def _places(ids: NDArray[Any], wanted: list[str]) -> list[int]:
    found = {str(name): place for place, name in enumerate(ids)}
    return [found[name] for name in wanted]
