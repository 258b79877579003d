"""Judge: put the evidence before the gates, write the verdict down, and make the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from noria.errors import EvidenceError, LedgerError
from noria.gates.evidence import DataEvidence, Evidence, ParityEvidence, ServingEvidence
from noria.gates.judge import judge as ask_gates
from noria.gates.limits import Limits
from noria.gates.results import Verdict
from noria.ml.bundle import Bundle
from noria.ml.scores import Evaluation
from noria.steps.exhibit import REFUSED, Exhibit, keep_exhibit, read_exhibit, summarise
from noria.steps.groups import read_group
from noria.steps.report import PAGE, keep_report
from noria.steps.workspace import Workspace, digest_of, report_key
from noria.stores.releases import Ledger

PARITY_ROWS = 1000
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A verdict with all that it rests on: whoever doubts it can reach it again."""

    evidence: Evidence
    limits: Limits
    verdict: Verdict
    evidence_digest: str  # of the object evidence/<digest>.json, which holds evidence and limits
    report: str  # key of the report in the object store; the step deploy writes it anew


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

    @property
    def told(self) -> str:
        """The verdict in one line, for the log."""
        verdict = self.decision.verdict
        return summarise(verdict) if verdict.passed else f"{REFUSED}{summarise(verdict)}"

    @property
    def summary(self) -> str:
        """The verdict in a few lines of Markdown, for KFP's page of the run."""
        verdict = self.decision.verdict
        gates = [f"| {'yes' if gate.passed else '**no**'} | {gate.name} | {gate.figure} |" for gate in verdict.gates]
        against = f"champion `{verdict.champion}`" if verdict.champion else "nobody: there is no champion yet"
        compared = f"Bundle `{verdict.bundle}`, against {against}."
        return "\n".join([self.told, "", compared, "", "| passed | gate | figure |", "|---|---|---|", *gates, ""])


def judge(
    workspace: Workspace,
    *,
    bundle: str,
    evidence: Mapping[str, str],
    limits: Mapping[str, float],
    environment_limits: Mapping[str, float],
    plan: str,
    basis: str,
    code: str,
) -> Judged:
    """Reach a verdict from the evidence files (data, evaluation, serving) and enter it in the ledger.

    Verdict, evidence, ledger and report say where `limits` depart from `environment_limits`, the environment's own.
    Raises EvidenceError where a piece is missing or belongs to another bundle.
    """
    candidate = workspace.fetch_bundle(digest_of(bundle))
    shown = _gather(candidate, evidence)
    bounds = read_group("limits", limits, Limits)
    usual = read_group("environment_limits", environment_limits, Limits)
    verdict = ask_gates(shown, bounds, usual=usual)
    if verdict.bundle != candidate.digest:
        raise EvidenceError(
            f"the evidence is of bundle {verdict.bundle[:12]}, the candidate is {candidate.digest[:12]}: evaluate it"
        )
    ledger = workspace.ledger(candidate.facts.task, writable=True)
    entry = ledger.record_evaluation(
        bundle=candidate.digest,
        champion=verdict.champion,
        plan=plan,
        basis=basis,
        evidence=keep_exhibit(ledger, Exhibit(evidence=shown, limits=bounds, usual=usual)),
        passed=verdict.passed,
        reason=summarise(verdict),
        actor="pipeline",
        code=code,
    )
    # An earlier try of this run may have been recorded, with latencies of its own: what the ledger names counts.
    recorded = read_exhibit(ledger, entry.evidence)
    verdict = ask_gates(recorded.evidence, recorded.limits, usual=recorded.usual)
    # A run that is repeated after a promotion must not take that back from the page.
    promoted = any(each.kind == "promoted" and each.evidence == entry.evidence for each in ledger.entries())
    key, page = keep_report(workspace, entry.evidence, recorded.evidence, verdict, code=code, promoted=promoted)
    decision = Decision(
        evidence=recorded.evidence,
        limits=recorded.limits,
        verdict=verdict,
        evidence_digest=entry.evidence,
        report=key,
    )
    return Judged(decision=decision, page=page)


def recall(ledger: Ledger, plan: str, basis: str) -> Decision:
    """The newest decision that a run of this plan and basis came to, from the ledger; LedgerError if it has none."""
    for entry in reversed(ledger.entries()):
        if entry.kind == "evaluated" and (entry.plan, entry.basis) == (plan, basis):
            shown = read_exhibit(ledger, entry.evidence)
            return Decision(
                evidence=shown.evidence,
                limits=shown.limits,
                verdict=ask_gates(shown.evidence, shown.limits, usual=shown.usual),
                evidence_digest=entry.evidence,
                report=report_key(entry.evidence, PAGE),
            )
    raise LedgerError(f"the ledger holds no evaluation of plan {plan[:12]}: run again")


def _gather(candidate: Bundle, evidence: Mapping[str, str]) -> Evidence:
    return Evidence(
        data=_read(Path(evidence["data"]), DataEvidence),
        evaluation=_read(Path(evidence["evaluation"]), Evaluation),
        serving=_read(Path(evidence["serving"]), ServingEvidence),
        parity=ParityEvidence(
            bundle=candidate.digest,
            rows=min(PARITY_ROWS, candidate.facts.training_rows),
            max_difference=candidate.facts.parity,
        ),
    )


def _read(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError) as error:
        raise EvidenceError(f"{path} holds no {kind.__name__} ({error}): run the step that makes it again") from error
