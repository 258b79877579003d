"""Parity runs: find a run that is over, in this place or another, and say what it came to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from noria.cli.output import show_time
from noria.cli.project import open_workspace, started_in
from noria.errors import LedgerError, UsageError
from noria.gates.judge import judge
from noria.gates.results import Verdict
from noria.ml.manifest import MANIFEST_FILE, decode_manifest, digest_of
from noria.ml.signature import TrustedKeys
from noria.settings import Settings
from noria.steps.exhibit import Exhibit, read_exhibit
from noria.steps.workspace import now
from noria.stores.ledger_entry import Entry
from noria.stores.objects import ObjectStore
from noria.stores.opening import open_store
from noria.stores.releases import Ledger
from noria.stores.runs import RunLog, RunRecord

# Of a ledger entry, what does not follow from the run: its place in the chain, its time, its signature, and the
# evidence, which holds measured times.
PLACED = ("sequence", "previous", "time", "basis", "evidence", "reason", "signer", "signature")
EVERY = 1_000_000  # more runs than anyone keeps


@dataclass(frozen=True, kw_only=True)
class Ran:
    """One run: `facts` have to be equal in an equal run, `figures` are of the machine and the moment.

    `parameters` are empty where the place keeps no record of the run, as a cluster does not.
    """

    place: str
    run: str
    facts: Mapping[str, str]
    figures: Mapping[str, str]
    parameters: Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where runs are looked for."""

    name: str
    store: ObjectStore
    trusted: Path


def find_run(words: str, task: str) -> Ran:
    """Find the run that a person's words mean; UsageError where they mean none, or more than one."""
    name, _, which = words.partition("#")
    place = _place(name)
    if place is None:
        place, which = _own(), words
    # Without an anchor: nothing is written in a place that is only looked at.
    ledger = Ledger(place.store, task, signer=None, trusted=TrustedKeys(place.trusted), anchors=None, clock=now)
    records = RunLog(place.store, task).last(EVERY)
    entry = _choose(ledger.entries(), records, which, place.name, task)
    record = next((each for each in records if each.plan == entry.plan and each.bundle == entry.bundle), None)
    return _tell(place, ledger, entry, record)


def _own() -> _Place:
    workspace = open_workspace()
    return _Place(name=workspace.settings.objects, store=workspace.store, trusted=workspace.settings.trusted_keys)


def _place(name: str) -> _Place | None:
    """The object store at an address, or in a folder, which may be a home; None where the name is of no place."""
    if "://" in name:
        return _Place(name=name, store=open_store(name), trusted=_own().trusted)
    folder = started_in() / name
    if not name or not folder.is_dir():
        return None
    home = Settings.from_environment({"NORIA_HOME": str(folder)})
    if Path(home.objects).is_dir():
        return _Place(name=home.objects, store=open_store(home.objects), trusted=home.trusted_keys)
    return _Place(name=str(folder), store=open_store(str(folder)), trusted=_own().trusted)


def _choose(entries: tuple[Entry, ...], records: tuple[RunRecord, ...], which: str, place: str, task: str) -> Entry:
    """The evaluation that the run came to; each run that came to a verdict has one."""
    judged = [entry for entry in entries if entry.kind == "evaluated"]
    if not judged:
        raise UsageError(f"no run of {task} in {place} came to a verdict: expected one; look at --task and the place")
    if not which:
        return judged[-1]
    plans = {record.plan for record in records if record.id.startswith(which)}
    plans |= {entry.plan for entry in judged if entry.plan.startswith(which)}
    found = [entry for entry in judged if entry.plan in plans]
    if len(plans) != 1 or not found:
        known = ", ".join(dict.fromkeys(entry.plan[:8] for entry in reversed(judged)))
        what = f"{len(plans)} plans begin" if len(plans) > 1 else "no run that came to a verdict begins"
        raise UsageError(
            f"{what} with {which!r} for task {task} in {place}: expected one of the plans {known}, a run of theirs, or "
            "another --task"
        )
    return found[-1]


def _tell(place: _Place, ledger: Ledger, entry: Entry, record: RunRecord | None) -> Ran:
    exhibit = read_exhibit(ledger, entry.evidence)
    verdict = judge(exhibit.evidence, exhibit.limits, usual=exhibit.usual)
    later = [each for each in ledger.entries() if each.kind == "promoted" and each.evidence == entry.evidence]
    return Ran(
        place=place.name,
        run=record.id if record else f"plan {entry.plan[:8]}",
        facts=dict(_facts(place.store, exhibit, verdict, entry, later)),
        figures=dict(_figures(exhibit, entry, record)),
        parameters=record.parameters if record else {},
    )


def _facts(
    store: ObjectStore, exhibit: Exhibit, verdict: Verdict, entry: Entry, later: list[Entry]
) -> Iterator[tuple[str, str]]:
    yield "plan", entry.plan
    yield "code", entry.code
    yield "dataset", verdict.dataset
    yield "findings in the data", _digest(exhibit.evidence.data)
    yield "bundle", entry.bundle
    manifest = store.get(f"bundles/{entry.bundle}/{MANIFEST_FILE}")
    if digest_of(manifest) != entry.bundle:
        raise LedgerError(f"bundle {entry.bundle[:12]} in {store.uri('bundles')} was altered: restore it from a copy")
    for name, digest in sorted(decode_manifest(manifest).files.items()):
        yield f"  {name}", digest
    yield "compared with", verdict.champion or "nobody"
    yield "evaluation", _digest(exhibit.evidence.evaluation)
    yield "decision", _digest(_outcome(exhibit, verdict))
    yield "entry: evaluated", _digest(_lasting(entry))
    yield "entry: promoted", _digest(_lasting(later[-1])) if later else "none"


def _outcome(exhibit: Exhibit, verdict: Verdict) -> object:
    """What was decided about what, gate by gate, without the figures that the gates show."""
    gates = [(gate.name, gate.limit, gate.passed) for gate in verdict.gates]
    return replace(verdict, gates=()), gates, exhibit.limits


def _lasting(entry: Entry) -> dict[str, object]:
    fields: dict[str, object] = msgspec.to_builtins(entry)
    return {name: value for name, value in fields.items() if name not in PLACED}


def _figures(exhibit: Exhibit, entry: Entry, record: RunRecord | None) -> Iterator[tuple[str, str]]:
    if served := exhibit.evidence.serving:
        yield "served, p50", f"{served.p50_ms} ms"
        yield "served, p95", f"{served.p95_ms} ms"
        yield "rows a second", "not measured" if served.rows_per_second is None else f"{served.rows_per_second:,.0f}"
        yield "memory", "not measured" if served.memory_mib is None else f"{served.memory_mib} MiB"
        yield "served from offline", f"{served.max_difference:.1e} at most"
    yield "decided at", show_time(entry.time)
    yield "signed by", entry.signer[:12]
    yield "the run took", f"{record.seconds:.1f} s" if record else "not recorded"


def _digest(fact: object) -> str:
    return digest_of(msgspec.json.encode(fact, order="deterministic"))
