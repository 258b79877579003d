"""Settle: what a run that does not know yet what it is compared with finds out at its start."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from noria.code import code_digest
from noria.ml.progress import Progress
from noria.steps.exhibit import champion_of
from noria.steps.ingest import parse_moment
from noria.steps.workspace import Workspace, now
from noria.stores.identity import store_id
from noria.task import load_task

GIVEN = ("start", "end", "as_of", "source", "code", "champion", "basis", "plan")
RESOLVED = ("plan", "basis", "champion")  # what a run is compared with, and so no part of what it does
SCHEDULED = "[[ScheduledTime]]"  # KFP writes the moment here, in digits; versions of it hand the word on as it is
DIGITS = "%Y%m%d%H%M%S"


@dataclass(frozen=True, kw_only=True)
class Settled:
    """What every later step of a run goes by; `store` is the object store's own name."""

    start: str
    end: str
    as_of: str
    source: str
    code: str
    champion: str
    basis: str
    plan: str
    store: str = ""


def plan_digest(parameters: Mapping[str, Any]) -> str:
    """The sha256 of what a run does: equal digests, equal results. What it is compared with is no part of it."""
    what = {name: _plain(value) for name, value in parameters.items() if name not in RESOLVED}
    return hashlib.sha256(msgspec.json.encode(what, order="deterministic")).hexdigest()


def settle(
    workspace: Workspace,
    parameters: Mapping[str, Any],
    *,
    days: int,
    at: str,
    project: Path,
    progress: Progress,
) -> Settled:
    """Take a plan as it was made, or make it here and now, and ask the ledger for the champion that it challenges.

    `parameters` are the pipeline's, less `days` and `at`. A plan that belongs to them stands, with its basis. Without
    one, or where a parameter was changed since, source and code are those found here; `days` > 0 takes so many whole
    days up to the last midnight before `at`: an instant, KFP's word for the scheduled one, or "" for now. Whoever
    becomes champion after this makes the promotion fail, as with every other run.
    """
    store = store_id(workspace.store)
    given = Settled(**{name: parameters[name] for name in GIVEN}, store=store)
    if given.plan and given.plan == plan_digest(parameters):
        return given
    when = _window(given, days, _moment(at))
    task = load_task(parameters["task"])
    found = {"source": task.fingerprint(workspace.source_of(task)), "code": code_digest(task, project)}
    plan = plan_digest({**parameters, **when, **found})
    ledger = workspace.ledger(task.name)
    basis = ledger.plan_basis(plan)
    champion = champion_of(ledger, basis)
    settled = Settled(**when, **found, champion=champion, basis=basis, plan=plan, store=store)
    progress(describe(settled), None)
    return settled


def describe(settled: Settled) -> str:
    """One line for the log: the plan, its window, and whom the candidate has to measure up to."""
    whom = f"champion {settled.champion[:12]}" if settled.champion else "nobody: there is no champion yet"
    return f"plan {settled.plan}, {settled.start} to {settled.end}, code {settled.code[:12]}, against {whom}"


def outputs(settled: Settled) -> tuple[str, ...]:
    """The values in the order of their names above, as a component hands them on."""
    return tuple(asdict(settled).values())


def _plain(value: Any) -> Any:
    """A value as it was written: KFP hands every number in a group on as a float, 8 as 8.0."""
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _moment(at: str) -> datetime:
    if at in ("", SCHEDULED):
        return now()
    with suppress(ValueError):
        return datetime.strptime(at, DIGITS).replace(tzinfo=UTC)
    return parse_moment("at", at).astimezone(UTC)


def _window(given: Settled, days: int, moment: datetime) -> dict[str, str]:
    if days <= 0:
        return {"start": given.start, "end": given.end, "as_of": given.as_of or given.end}
    end = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return {"start": f"{end - timedelta(days=days):%Y-%m-%d}", "end": f"{end:%Y-%m-%d}", "as_of": f"{end:%Y-%m-%d}"}
