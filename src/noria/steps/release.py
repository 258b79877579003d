"""Release: change what serves and what the ledger says together, in an order that a kill leaves to be completed.

First the turn, then the ledger is asked whether the champion may change, then what serves is changed and tried, and
last the entry is written. Whoever is killed in between has changed what serves and not said so: the same release,
begun again, finds it so and completes it; another one first puts back what served before, and says so. What ends
without an entry by itself, by SIGTERM, or because nobody reads it any more, puts back what served before.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass

from noria.errors import ClusterError, LedgerError, NoriaError
from noria.steps.ending import Order, ended_in_order
from noria.steps.stage import Stage, Turn
from noria.stores.ledger_entry import Entry
from noria.stores.releases import Ledger

LEFT = "the release that let it serve ended before it was champion, and without a word"
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

    with ended_in_order() as order, stage.turn(task, _name(claim.actor)) as turn:
        try:
            ledger.check_promotion(bundle=claim.bundle, plan=claim.plan, basis=claim.basis)
        except LedgerError:
            _clear_up(turn, ledger, claim, order, stays="")
            raise
        _clear_up(turn, ledger, claim, order, stays=claim.bundle)
        return _change_or_undo(turn, ledger, claim, order, change)


def take_back(stage: Stage, ledger: Ledger, task: str, *, to: str | None, reason: str, actor: str) -> Entry:
    """Let a former champion serve, and make it champion again; errors as of `Ledger.rollback` and of `release`.

    The present champion may be named, too: it serves then, where a release that was killed has left something else.
    """
    with ended_in_order() as order, stage.turn(task, _name(actor)) as turn:
        present = [entry for entry in ledger.entries() if entry.changes_champion][-1:]
        basis = ledger.basis()
        target = to if present and to == present[0].bundle else ledger.rollback_target(to)
        claim = Claim(bundle=target, plan="", basis=basis, evidence="", reason=reason, actor=actor, code="")
        _clear_up(turn, ledger, claim, order, stays=target)
        if target == present[0].bundle:
            _bring_up_again(turn, present[0])
            return present[0]

        def change(turn: Turn) -> Entry:
            turn.bring_up(target, plan="")
            return ledger.rollback(to=target, reason=reason, actor=actor, basis=basis)

        return _change_or_undo(turn, ledger, claim, order, change)


def _name(actor: str) -> str:
    """How the holder of a turn is named to those who want it, too."""
    return f"{actor} on {socket.gethostname()}, process {os.getpid()}"


def _clear_up(turn: Turn, ledger: Ledger, claim: Claim, order: Order, *, stays: str) -> None:
    """Put back what a release left that was killed, and record that.

    What the claim itself left and may complete stays, and so does what the ledger knows nothing of: no release of this
    task brought that up.
    """
    left, champion = turn.named(), ledger.champion()
    before = champion.bundle if champion else ""
    if left in (before, stays) or not any(entry.bundle == left for entry in ledger.entries()):
        return
    with order.held_off_for():
        if turn.put_back(left, before):
            ledger.record_put_back(
                bundle=left, plan="", basis=ledger.basis(), evidence="", reason=LEFT, actor=claim.actor, code=claim.code
            )


def _bring_up_again(turn: Turn, champion: Entry) -> None:
    """Let the champion serve that the ledger names; an error tells what Kubernetes says, too."""
    try:
        turn.bring_up(champion.bundle, plan=champion.plan)
    except NoriaError as error:
        raise type(error)(
            f"{error}\n{turn.explain()}\nIt is champion by the ledger, so what is to serve was left as it is: run this "
            "again when that is mended, or name another former champion with --to"
        ) from error


def _change_or_undo(turn: Turn, ledger: Ledger, claim: Claim, order: Order, change: Callable[[Turn], Entry]) -> Entry:
    try:
        return change(turn)
    except NoriaError as error:
        with order.held_off_for():
            told = turn.explain()  # before it is put back, and with it what could be told of it
            undone = _undo(turn, ledger, claim, str(error))
        raise type(error)(f"{error}\n{told}\n{undone}") from error
    except BaseException:  # a signal to end, or a fault of ours: what serves must not stay changed for that either
        with order.held_off_for():
            _undo(turn, ledger, claim, "it was stopped before it was champion")
        raise


def _undo(turn: Turn, ledger: Ledger, claim: Claim, why: str) -> str:
    """Put back what served before, and record that; returns what came of it."""
    try:
        champion = ledger.champion()
        if champion is not None and champion.bundle == claim.bundle:
            turn.put_back(claim.bundle, claim.bundle)  # it may have been asked to serve in another way than before
            return "It is champion by the ledger, and is to serve as when it last came up: run this again"
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
