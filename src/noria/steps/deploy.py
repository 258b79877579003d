"""Deploy: make the candidate champion, on the evidence itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from noria.errors import EvidenceError, ReleaseError, StoreError, TakenBackError
from noria.gates.judge import judge as ask_gates
from noria.gates.results import Verdict
from noria.ml.bundle import Bundle
from noria.ml.progress import Progress
from noria.steps.exhibit import Exhibit, champion_of, keep_exhibit, read_exhibit, summarise
from noria.steps.held_out import HeldOut, hold_out
from noria.steps.judge import Decision
from noria.steps.release import Claim, release
from noria.steps.report import keep_report
from noria.steps.stage import Stage, Turn
from noria.steps.trial import ROWS, try_out
from noria.steps.workspace import Workspace, digest_of
from noria.stores.ledger_entry import Entry
from noria.stores.releases import Ledger
from noria.stores.standing import taken_back

UNCHANGED = "unchanged: "  # how the last line begins of a release that had been made before
TRIAL_SECONDS = 120.0  # for the last of what served before to be gone, once the candidate serves


def deploy(
    workspace: Workspace,
    *,
    uri: str,
    bundle: str,
    decision: str,
    validation_days: int,
    holdout_days: int,
    plan: str,
    basis: str,
    code: str,
    progress: Progress,
    stage: Stage | None = None,
) -> str:
    """Promote the candidate in the release ledger, and say so in the report; returns the digest of the entry.

    With a stage, the candidate serves there first, and answers for held-out rows of the dataset at `uri` as it does
    offline; where it does not, what served before is put back and ReleaseError or ClusterError says why.

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
    claim = Claim(
        bundle=candidate.digest, plan=plan, basis=basis, evidence=evidence, reason=summarise(verdict), actor="pipeline",
        code=code,
    )  # fmt: skip
    before = ledger.basis()
    if stage is None:
        entry = ledger.promote(**vars(claim))
    else:
        days = {"validation_days": validation_days, "holdout_days": holdout_days}
        rows = hold_out(workspace, candidate, uri=uri, **days, count=ROWS)
        limit = shown.limits.served_difference
        entry = _release(stage, ledger, claim, candidate, rows, limit=limit, page=page, progress=progress)
    _write(partial(page, promoted=True), progress)
    told = f"{candidate.digest[:12]} is champion since {entry.time:%Y-%m-%d %H:%M:%S} UTC"
    progress(f"{UNCHANGED}{told}" if entry.digest == before else told, None)
    return entry.digest


def _release(
    stage: Stage,
    ledger: Ledger,
    claim: Claim,
    candidate: Bundle,
    rows: HeldOut,
    *,
    limit: float,
    page: Callable[..., object],
    progress: Progress,
) -> Entry:
    def attempt(turn: Turn) -> None:
        progress(f"{candidate.digest[:12]} serves: asking it for {rows.describe()}", None)
        largest = try_out(turn.reach, candidate, rows, limit=limit, seconds=TRIAL_SECONDS)
        progress(f"{len(rows)} answers differ by {largest:.2g} at most", None)

    try:
        return release(stage, ledger, candidate.facts.task, claim, attempt=attempt)
    except ReleaseError as error:
        _write(partial(page, refusal=str(error).partition("\n")[0]), progress)
        raise


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
