"""Parity facts: what a run came to, as far as its place keeps it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import msgspec

from noria.cli.naming import find_task
from noria.cli.output import show_time
from noria.errors import LedgerError, ObjectMissingError
from noria.gates.judge import judge
from noria.gates.results import Verdict
from noria.ml.dataset import FACTS_FILE, DatasetFacts
from noria.ml.manifest import MANIFEST_FILE, decode_manifest, digest_of
from noria.steps.exhibit import Exhibit, read_exhibit
from noria.stores.ledger_entry import Entry
from noria.stores.objects import ObjectStore
from noria.stores.releases import Ledger
from noria.stores.runs import RunRecord
from noria.task import TakesFeatures

# Of a ledger entry, what does not follow from the run: its place in the chain, its time, its signature, and the
# evidence, which holds measured times.
PLACED = ("sequence", "previous", "time", "basis", "evidence", "reason", "signer", "signature")
EVENTS, TABLES = "events", "feature tables"


@dataclass(frozen=True, kw_only=True)
class Ran:
    """One run: `facts` have to be equal in an equal run, `figures` are of the machine and the moment.

    `parameters` are empty where the place keeps no record of the run, as a cluster does not. `lacks` says what the
    place does not keep; the facts that it names in `unknown` are no difference.
    """

    place: str
    run: str
    facts: Mapping[str, str]
    figures: Mapping[str, str]
    parameters: Mapping[str, object]
    lacks: str = ""
    unknown: tuple[str, ...] = ()


def tell_unjudged(place: str, record: RunRecord) -> Ran:
    """What is kept of a run that ended before a verdict: what it began with, and why it ended."""
    reason = record.reason.partition("\n")[0]
    code = str(record.parameters.get("code", ""))
    return Ran(
        place=place,
        run=record.id,
        facts={"plan": record.plan, "code": code, "decision": f"none, {record.outcome}: {reason}"},
        figures={"the run took": f"{record.seconds:.1f} s"},
        parameters=record.parameters,
        lacks=f"{record.id} came to no verdict ({reason}): of what its steps made nothing is kept under its name",
    )


def tell_judged(place: str, store: ObjectStore, ledger: Ledger, entry: Entry, record: RunRecord | None) -> Ran:
    """All that a run came to; LedgerError where a piece of it was altered."""
    exhibit = read_exhibit(ledger, entry.evidence)
    verdict = judge(exhibit.evidence, exhibit.limits, usual=exhibit.usual)
    later = [each for each in ledger.entries() if each.kind == "promoted" and each.evidence == entry.evidence]
    made_of = ingested(store, verdict.dataset, entry.task)
    begun = {"plan": entry.plan, "code": entry.code, **(made_of or {})}
    return Ran(
        place=place,
        run=record.id if record else f"plan {entry.plan[:8]}",
        facts={**begun, **dict(_facts(store, exhibit, verdict, entry, later))},
        figures=dict(_figures(exhibit, entry, record)),
        parameters=record.parameters if record else {},
        lacks="" if made_of else f"dataset {verdict.dataset[:12]} does not tell here what it was made of",
        unknown=() if made_of else (EVENTS, TABLES),
    )


def ingested(store: ObjectStore, dataset: str, task: str) -> Mapping[str, str] | None:
    """What the step ingest published for the dataset, by its digests; None where that was not kept."""
    try:
        text = store.get(f"datasets/{dataset}/{FACTS_FILE}")
    except ObjectMissingError:
        return None
    if hashlib.sha256(text).hexdigest() != dataset:
        raise LedgerError(f"dataset {dataset[:12]} in {store.uri('datasets')} was altered: restore it from a copy")
    made_of = msgspec.json.decode(text, type=DatasetFacts).made_of
    if not isinstance(find_task(task), TakesFeatures):
        return {EVENTS: dataset}
    return {EVENTS: made_of["events"], TABLES: made_of["tables"]} if made_of else None


def _facts(
    store: ObjectStore, exhibit: Exhibit, verdict: Verdict, entry: Entry, later: list[Entry]
) -> Iterator[tuple[str, str]]:
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
