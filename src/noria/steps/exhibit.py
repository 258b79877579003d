"""Exhibit: what the gates saw and what they held it to, kept under its digest for whoever doubts a verdict."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from noria.errors import LedgerError
from noria.gates.evidence import Evidence
from noria.gates.limits import Limits
from noria.gates.results import Verdict
from noria.stores.releases import Ledger

REFUSED = "refused, because "  # how each summary of a run begins that a gate ended


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """`usual` are the limits of the environment; None in evidence of before they were kept."""

    evidence: Evidence
    limits: Limits
    usual: Limits | None = None


def keep_exhibit(ledger: Ledger, exhibit: Exhibit) -> str:
    """Keep it beside the ledger; returns the digest by which entries name it."""
    return ledger.put_evidence(msgspec.json.encode(exhibit, order="deterministic"))


def read_exhibit(ledger: Ledger, digest: str) -> Exhibit:
    """Read it back; LedgerError if it is gone, was altered, or is in the form of another version."""
    try:
        return msgspec.json.decode(ledger.read_evidence(digest), type=Exhibit)
    except msgspec.DecodeError as error:
        raise LedgerError(
            f"evidence {digest[:12]} was written by another version of Noria ({error}): read it with that one"
        ) from error


def champion_of(ledger: Ledger, basis: str) -> str:
    """The bundle that the basis, an entry that changed the champion, made champion; "" for no basis."""
    return next((entry.bundle for entry in ledger.entries() if basis and entry.digest == basis), "")


def summarise(verdict: Verdict) -> str:
    """One sentence for the ledger, which names every limit that was not the environment's own."""
    reasons = [f"{gate.name}: {gate.reason}" for gate in verdict.refusals] or [f"passed all {len(verdict.gates)} gates"]
    if verdict.departures:
        reasons.append(f"limits not the environment's own: {', '.join(map(str, verdict.departures))}")
    return "; ".join(reasons)
