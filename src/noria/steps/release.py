"""Release: change what serves and what the ledger says together, in an order that a kill leaves to be completed.

First the turn, then the ledger is asked whether the champion may change, then what serves is changed and tried, and
last the entry is written. Whoever is killed in between has changed what serves and not said so: the same release,
begun again, finds it so and completes it. What ends by itself without an entry puts back what served before.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass

from noria.errors import ClusterError, NoriaError
from noria.steps.stage import Stage, Turn
from noria.stores.ledger_entry import Entry
from noria.stores.releases import Ledger

REASON = 600  # characters of what went wrong that the ledger keeps; whoever released hears all of it


@dataclass(frozen=True, kw_only=True)
class Claim:
    """Which bundle is to be champion, by whom and why; the fields are the ledger's."""

    bundle: str
    plan: str
    basis: str
    evidence: str
    reason: str
    actor: str
    code: str


def release(stage: Stage, ledger: Ledger, task: str, claim: Claim, *, attempt: Callable[[Turn], None]) -> Entry:
    """Let the claim's bundle serve, try it with `attempt`, and make it champion; done again, it changes nothing.

    LedgerError where the champion changed since the basis, ConflictError where somebody else has the turn. ReleaseError
    and ClusterError say why it does not serve: what did before does again then, and the ledger says so.
    """

    def change(turn: Turn) -> Entry:
        turn.bring_up(claim.bundle, plan=claim.plan)
        attempt(turn)
        return ledger.promote(
            bundle=claim.bundle, plan=claim.plan, basis=claim.basis, evidence=claim.evidence, reason=claim.reason,
            actor=claim.actor, code=claim.code,
        )  # fmt: skip

    with stage.turn(task, _name(claim.actor)) as turn:
        ledger.check_promotion(bundle=claim.bundle, plan=claim.plan, basis=claim.basis)
        return _change_or_undo(turn, ledger, claim, change)


def take_back(stage: Stage, ledger: Ledger, task: str, *, to: str | None, reason: str, actor: str) -> Entry:
    """Let a former champion serve, and make it champion again; errors as of `Ledger.rollback` and of `release`.

    The present champion may be named, too: it serves then, where a release that was killed has left something else.
    """
    with stage.turn(task, _name(actor)) as turn:
        present = [entry for entry in ledger.entries() if entry.changes_champion][-1:]
        if present and present[0].bundle == to:
            turn.bring_up(present[0].bundle, plan=present[0].plan)
            return present[0]
        basis = ledger.basis()
        target = ledger.rollback_target(to)
        claim = Claim(bundle=target, plan="", basis=basis, evidence="", reason=reason, actor=actor, code="")

        def change(turn: Turn) -> Entry:
            turn.bring_up(target, plan="")
            return ledger.rollback(to=target, reason=reason, actor=actor, basis=basis)

        return _change_or_undo(turn, ledger, claim, change)


def _name(actor: str) -> str:
    """How the holder of a turn is named to those who want it, too."""
    return f"{actor} on {socket.gethostname()}, process {os.getpid()}"


def _change_or_undo(turn: Turn, ledger: Ledger, claim: Claim, change: Callable[[Turn], Entry]) -> Entry:
    try:
        return change(turn)
    except NoriaError as error:
        told = turn.explain()  # before it is put back, and with it what could be told of it
        raise type(error)(f"{error}\n{told}\n{_undo(turn, ledger, claim, str(error))}") from error
    except BaseException:  # a signal to end, or a fault of ours: what serves must not stay changed for that either
        _undo(turn, ledger, claim, "it was stopped before it was champion")
        raise


def _undo(turn: Turn, ledger: Ledger, claim: Claim, why: str) -> str:
    """Put back what served before, and record that; returns what came of it."""
    try:
        champion = ledger.champion()
        if champion is not None and champion.bundle == claim.bundle:
            return "It is champion by the ledger, so what serves was left as it is: run this again"
        before = champion.bundle if champion else ""
        if not turn.put_back(claim.bundle, before):
            return "Nothing had to be put back: what serves is not this bundle"
        ledger.record_put_back(
            bundle=claim.bundle, plan=claim.plan, basis=claim.basis, evidence=claim.evidence,
            reason=why[:REASON], actor=claim.actor, code=claim.code,
        )  # fmt: skip
    except NoriaError as error:
        what = "put back" if isinstance(error, ClusterError) else "put back and recorded"
        return f"What served before was not {what} ({error}): run this again when that is mended"
    return f"Put back: {f'bundle {before[:12]} serves again' if before else 'nothing serves, as before'}"
