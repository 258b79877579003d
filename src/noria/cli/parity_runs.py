"""Parity runs: find a run that is over, in this place or another."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from noria.cli.parity_facts import Ran, tell_judged, tell_unjudged
from noria.cli.project import find_project, open_workspace, started_in
from noria.errors import UsageError
from noria.ml.signature import TrustedKeys
from noria.settings import Settings
from noria.steps.workspace import now
from noria.stores.ledger_entry import Entry
from noria.stores.objects import ObjectStore
from noria.stores.opening import open_store
from noria.stores.releases import Ledger
from noria.stores.runs import RunLog, RunRecord

EVERY = 1_000_000  # more runs than anyone keeps


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where runs are looked for."""

    name: str
    store: ObjectStore
    trusted: Path


@dataclass(frozen=True, kw_only=True)
class _Run:
    """A run by what is kept of it: the evaluation that it came to, if it came to one, and its record, if there is one.

    A cluster keeps no records.
    """

    entry: Entry | None
    record: RunRecord | None

    @property
    def plan(self) -> str:
        return self.entry.plan if self.entry else self.record.plan if self.record else ""

    @property
    def end(self) -> tuple[str, str, str, str]:
        """What makes it another run than one of the same plan."""
        if self.entry:
            return self.plan, self.entry.bundle, self.entry.basis, ""
        return self.plan, "", "", self.record.id if self.record else ""


def find_run(words: str, task: str) -> Ran:
    """Find the run that a person's words mean; UsageError where they mean none, or more than one."""
    name, _, which = words.partition("#")
    place = _place(name)
    if place is None:
        place, which = _own(), words
    # Without an anchor: nothing is written in a place that is only looked at.
    ledger = Ledger(place.store, task, signer=None, trusted=TrustedKeys(place.trusted), anchors=None, clock=now)
    judged = [entry for entry in ledger.entries() if entry.kind == "evaluated"]
    runs = _runs(judged, RunLog(place.store, task).last(EVERY))
    run = _choose(runs, which, place.name, task)
    if run.entry:
        return tell_judged(place.name, place.store, ledger, run.entry, run.record)
    assert run.record, "what has no entry was found by its record"
    return tell_unjudged(place.name, run.record)


def _own() -> _Place:
    workspace = open_workspace()
    return _Place(name=workspace.settings.objects, store=workspace.store, trusted=workspace.settings.trusted_keys)


def _place(name: str) -> _Place | None:
    """The object store at an address, or in a folder, which may be a home, or a project that has its home in it.

    None where the name is of no place.
    """
    if "://" in name:
        return _Place(name=name, store=open_store(name), trusted=_own().trusted)
    folder = started_in() / name
    if not name or not folder.is_dir():
        return None
    for one in (folder, _home_in(folder)):
        home = Settings.from_environment({"NORIA_HOME": str(one)})
        if Path(home.objects).is_dir():
            return _Place(name=home.objects, store=open_store(home.objects), trusted=home.trusted_keys)
    return _Place(name=str(folder), store=open_store(str(folder)), trusted=_own().trusted)


def _home_in(folder: Path) -> Path:
    """The home of the project that one works in, where this is its folder; of another folder what is usual."""
    with suppress(UsageError):  # whoever compares two homes need not stand in a project
        if find_project() == folder.resolve():
            return open_workspace().settings.home
    return folder / ".noria"


def _runs(judged: Sequence[Entry], records: Sequence[RunRecord]) -> list[_Run]:
    """All runs that are known: those with a record, newest first, then those that the ledger alone knows."""
    recorded = [_Run(entry=_verdict_of(record, judged), record=record) for record in records]
    told = {run.entry.digest for run in recorded if run.entry}
    return recorded + [_Run(entry=entry, record=None) for entry in reversed(judged) if entry.digest not in told]


def _verdict_of(record: RunRecord, judged: Sequence[Entry]) -> Entry | None:
    """The evaluation that the run came to; of one that failed later than that, the one that was made meanwhile."""
    basis, end = record.parameters.get("basis"), record.started + timedelta(seconds=record.seconds)
    for entry in reversed(judged):
        if entry.plan != record.plan or (basis is not None and entry.basis != basis):
            continue
        if entry.bundle == record.bundle if record.bundle else record.started <= entry.time <= end:
            return entry
    return None


def _choose(runs: Sequence[_Run], which: str, place: str, task: str) -> _Run:
    """The run that is meant; of a place, or of a plan, the one of the last verdict."""
    if not runs:
        raise UsageError(f"no run of {task} in {place}: expected one; look at --task and the place")
    by_id = [run for run in runs if which and run.record and run.record.id.startswith(which)]
    found = by_id or [run for run in runs if run.plan.startswith(which)]
    several = len({run.end if by_id else run.plan for run in found})
    if not found or (which and several > 1):
        what = f"{several} {'runs' if by_id else 'plans'} begin" if found else "no run begins"
        known = ", ".join(dict.fromkeys(run.plan[:8] for run in runs))
        raise UsageError(
            f"{what} with {which!r} for task {task} in {place}: expected one of the plans {known}, a run of theirs, or "
            "another --task"
        )
    return max(found, key=lambda run: run.entry.sequence if run.entry else 0)
