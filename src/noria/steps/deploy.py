"""Deploy: make the candidate champion, on the evidence itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from noria.errors import EvidenceError, StoreError, TakenBackError
from noria.gates.judge import judge as ask_gates
from noria.gates.results import Verdict
from noria.ml.progress import Progress
from noria.steps.exhibit import Exhibit, champion_of, keep_exhibit, read_exhibit, summarise
from noria.steps.judge import Decision
from noria.steps.report import keep_report
from noria.steps.workspace import Workspace, digest_of
from noria.stores.releases import Ledger
from noria.stores.standing import taken_back


def deploy(
    workspace: Workspace, *, bundle: str, decision: str, plan: str, basis: str, code: str, progress: Progress
) -> str:
    """Promote the candidate in the release ledger, and say so in the report; returns the digest of the entry.

    The verdict is not believed but reached again from the evidence that the ledger names. Raises EvidenceError where
    it is missing, belongs to another bundle, or does not carry the candidate, TakenBackError where a person took this
    very bundle back, LedgerError where the champion changed.
    """
    candidate = workspace.fetch_bundle(digest_of(bundle))
    _check_subject(Path(decision), candidate.digest)
    ledger = workspace.ledger(candidate.facts.task, writable=True)
    shown = _recorded(ledger, candidate.digest, plan, basis)
    verdict = ask_gates(shown.evidence, shown.limits, usual=shown.usual)
    _check_fit(ledger, candidate.digest, verdict, basis)
    evidence = keep_exhibit(ledger, shown)
    page = partial(keep_report, workspace, evidence, shown.evidence, verdict, code=code)
    if refusal := find_refusal(ledger, candidate.digest):
        _write(partial(page, refusal=refusal), progress)
        raise TakenBackError(refusal)
    entry = ledger.promote(
        bundle=candidate.digest,
        plan=plan,
        basis=basis,
        evidence=evidence,
        reason=summarise(verdict),
        actor="pipeline",
        code=code,
    )
    _write(partial(page, promoted=True), progress)
    progress(f"{candidate.digest[:12]} is champion since {entry.time:%Y-%m-%d %H:%M:%S} UTC", None)
    return entry.digest


def _check_subject(decision: Path, bundle: str) -> None:
    try:
        given = msgspec.json.decode(decision.read_bytes(), type=Decision)
    except (OSError, msgspec.DecodeError) as error:
        raise EvidenceError(f"{decision} holds no decision ({error}): judge the candidate again") from error
    if given.verdict.bundle != bundle:
        raise EvidenceError(
            f"the decision is about bundle {given.verdict.bundle[:12]}, to be deployed is {bundle[:12]}: "
            "evidence of another bundle promotes nothing; judge this one"
        )


def _check_fit(ledger: Ledger, bundle: str, verdict: Verdict, basis: str) -> None:
    if verdict.bundle != bundle or not verdict.passed:
        raise EvidenceError(f"bundle {bundle[:12]} did not pass the gates ({summarise(verdict)}): it stays out")
    if (compared := champion_of(ledger, basis)) != verdict.champion:
        raise EvidenceError(
            f"the candidate was compared with {verdict.champion[:12] or 'nobody'}, this run is based on champion "
            f"{compared[:12] or 'nobody'}: evaluate it against that one"
        )


def find_refusal(ledger: Ledger, bundle: str) -> str:
    """What a person said against the bundle when it was champion; "" where nobody did."""
    word = taken_back(ledger.entries(), bundle)
    if word is None:
        return ""
    return (
        f"bundle {bundle[:12]} was champion, and a {word.actor} took it back on {word.time:%Y-%m-%d %H:%M} "
        f"({word.reason}): what a person decided no run undoes; `noria rollback --to {bundle[:12]}` does"
    )


def _write(page: Callable[[], object], progress: Progress) -> None:
    try:
        page()
    except (OSError, StoreError) as error:  # what was decided stands, and a missing page does not undo it
        progress(f"the report still says what it said before: {error}", None)


def _recorded(ledger: Ledger, bundle: str, plan: str, basis: str) -> Exhibit:
    """What the gates saw when the ledger recorded that the bundle passed in this run; a file's word is not enough."""
    for entry in reversed(ledger.entries()):
        same = (entry.bundle, entry.plan, entry.basis) == (bundle, plan, basis)
        if entry.kind == "evaluated" and entry.passed and same:
            return read_exhibit(ledger, entry.evidence)
    raise EvidenceError(
        f"the ledger holds no evaluation of this run that bundle {bundle[:12]} passed: judge it, then deploy it"
    )
