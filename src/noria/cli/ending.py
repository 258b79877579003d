"""Ending: what a run came to, and the record that is kept of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from noria.cli.failing import Failure, failure_of
from noria.cli.listening import Heard, StepFailedError
from noria.cli.preparing import Prepared
from noria.errors import LedgerError
from noria.steps.exhibit import summarise
from noria.steps.judge import Decision
from noria.stores.runs import RunLog, RunRecord

REFUSED = 3


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What a run came to: promoted, unchanged, refused or failed."""

    outcome: str
    reason: str
    bundle: str = ""
    steps: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RunFailure(Failure):
    """A run that came to no verdict; `step` is "" where none was under way."""

    task: str
    outcome: str
    step: str
    log: str


def check_champion(prepared: Prepared, decision: Decision) -> None:
    """What passed has to be champion now; LedgerError where the ledger says otherwise."""
    champion = prepared.workspace.ledger(prepared.task.name).champion()
    found = champion.bundle if champion else "nobody"
    if decision.verdict.passed and found != decision.verdict.bundle:
        raise LedgerError(
            f"bundle {decision.verdict.bundle[:12]} passed, but the ledger's champion is {found[:12]}: another "
            "run or a person was faster; run again"
        )


def end(seconds: dict[str, float], decision: Decision, *, changed: bool) -> Ended:
    """What a run came to that came to a verdict; `changed` is whether the champion was made meanwhile."""
    verdict = decision.verdict
    unchanged = verdict.passed and (verdict.champion == verdict.bundle or not changed)
    outcome = "unchanged" if unchanged else "promoted" if verdict.passed else "refused"
    return Ended(outcome=outcome, reason=summarise(verdict), bundle=verdict.bundle, steps=seconds)


def refuse(seconds: dict[str, float], decision: Decision, reason: str) -> Ended:
    """What a run came to whose candidate passed the gates, and was refused all the same."""
    return Ended(outcome="refused", reason=reason, bundle=decision.verdict.bundle, steps=seconds)


def fail(error: BaseException, heard: Heard, task: str, log: Path) -> RunFailure:
    """What a run came to that an error ended; evidence that cannot be used ends it as a gate's refusal does."""
    found = failure_of(error)
    return RunFailure(
        error=found.error,
        kind=error.kind if isinstance(error, StepFailedError) else found.kind,
        exit_code=found.exit_code,
        task=task,
        outcome="refused" if found.exit_code == REFUSED else "failed",
        step=heard.step,
        log=str(log),
    )


def record(prepared: Prepared, started: datetime, seconds: float, log: Path, ended: Ended) -> None:
    """Keep what became of a run."""
    RunLog(prepared.workspace.store, prepared.task.name).add(
        RunRecord(
            id=f"{started:%Y%m%dT%H%M%S%f}-{prepared.parameters.plan[:8]}",
            task=prepared.task.name,
            environment=prepared.environment,
            started=started,
            seconds=round(seconds, 3),
            outcome=ended.outcome,
            reason=ended.reason,
            plan=prepared.parameters.plan,
            bundle=ended.bundle,
            steps=ended.steps,
            parameters=prepared.parameters.arguments(),
            log=str(log),
        )
    )
