"""Releases: read the ledger, verify it, ask it about the past, and roll back."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from noria.cli.naming import find_task
from noria.cli.output import console, make_table, print_json, show_time
from noria.cli.project import open_workspace
from noria.cli.whose_ledger import beginning, excuse_missing_bucket, warn_if_elsewhere
from noria.errors import BucketMissingError, UsageError
from noria.steps.release import take_back
from noria.steps.stage import Stage
from noria.steps.workspace import now
from noria.stores.ledger_entry import Entry
from noria.stores.releases import Ledger


def open_ledger(task: str, *, writable: bool = False) -> Ledger:
    """Open the ledger of a task that exists; whoever means the cluster's and gets another is told so first."""
    find_task(task)
    workspace = open_workspace()
    warn_if_elsewhere(workspace.settings)
    return workspace.ledger(task, writable=writable)


def list_releases(task: str, *, as_json: bool) -> None:
    """List every entry, oldest first."""
    entries: tuple[Entry, ...] = ()
    ledger = open_ledger(task)
    try:
        entries = ledger.entries()
    except BucketMissingError as error:
        excuse_missing_bucket(open_workspace(), task, error)
    if as_json:
        print_json(entries)
        return
    if not entries:
        first = beginning(open_workspace().settings, task)
        console().print(f"No release of {task} yet: {first}", soft_wrap=True, markup=False)
        return
    table = make_table(f"Releases of {task}", ["", "time", "what", "bundle", "reason"])
    for entry in entries:
        table.add_row(str(entry.sequence), show_time(entry.time), _word(entry), entry.bundle[:12], entry.reason)
    console().print(table)


def verify_releases(task: str, *, as_json: bool) -> int:
    """Verify chain, signatures and tail; returns 1 if anything is wrong."""
    ledger = open_ledger(task)
    problems = ledger.verify()
    if as_json:
        print_json({"task": task, "problems": problems})
    elif problems:
        for problem in problems:
            console().print(f"[red]✗[/red] {problem}", soft_wrap=True)
    else:
        console().print(f"✓ {len(ledger.entries())} entries of {task}: chain, signatures and tail are whole")
    return 1 if problems else 0


def roll_back(task: str, *, to: str, reason: str, as_json: bool) -> None:
    """Make a former champion champion again; where an InferenceService serves, it serves that one first."""
    ledger = open_ledger(task, writable=True)
    target = _former(ledger, to) if to else None
    stage = _open_stage()
    if stage is None:
        entry = ledger.rollback(to=target, reason=reason, actor="person")
    else:
        entry = take_back(stage, ledger, task, to=target, reason=reason, actor="person")
    if as_json:
        print_json(entry)
    else:
        console().print(
            f"{entry.bundle[:12]} is champion again, since {show_time(entry.time)}; before it: {entry.champion[:12]}"
        )


def show_which(task: str, *, at: str, as_json: bool) -> None:
    """Say which bundle was champion at an instant, and the entry that made it so."""
    try:
        moment = datetime.fromisoformat(at) if at else now()
    except ValueError as error:
        raise UsageError(f"--at {at!r} is no instant: write, for example, 2026-11-21T12:00") from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    entry = open_ledger(task).champion_at(moment)
    if as_json:
        print_json({"task": task, "at": moment, "entry": entry})
    elif entry is None:
        console().print(f"at {show_time(moment)} {task} had no champion")
    else:
        screen = console()
        screen.print(f"[cyan]{entry.bundle}[/cyan]", soft_wrap=True)
        word = "answered" if moment <= now() else "answers, if nothing changes,"
        screen.print(f"{word} for {task} at {show_time(moment)}, because of entry {entry.sequence} ({entry.kind}):")
        screen.print(f"  {show_time(entry.time)}, by {entry.actor}: {entry.reason}", soft_wrap=True)
        if entry.evidence:
            screen.print(f"  evidence {entry.evidence}", soft_wrap=True)


def _open_stage() -> Stage | None:
    # The room of the Kubernetes client lies in the project, which is importable once its workspace was opened.
    from cluster.stage import stage_of

    def tell(text: str, _: float | None = None) -> None:
        console(sys.stderr).print(text, soft_wrap=True)

    return stage_of(open_workspace(), tell)


def _word(entry: Entry) -> str:
    if entry.kind == "evaluated":
        return "evaluated: passed" if entry.passed else "evaluated: refused"
    return "did not come up" if entry.kind == "put-back" else entry.kind


def _former(ledger: Ledger, start: str) -> str:
    found = sorted(
        {entry.bundle for entry in ledger.entries() if entry.bundle.startswith(start) and entry.changes_champion}
    )
    if len(found) != 1:
        raise UsageError(
            f"{len(found)} former champions begin with {start!r}: `noria releases` lists them; give more of the digest"
        )
    return found[0]
