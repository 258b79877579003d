"""Standing: who is champion after a row of ledger entries, and whether the entries follow from each other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from noria.errors import LedgerError
from noria.stores.ledger_entry import Entry, Problem


@dataclass(frozen=True, kw_only=True)
class Champion:
    bundle: str
    since: datetime
    entry: str  # the digest of the entry that made it champion


@dataclass(frozen=True, kw_only=True)
class Standing:
    """`line`: the champions one above the other, the present one last; a rollback to one below takes off those above.

    `last` is the last entry that changed the champion, and `basis` its digest.
    """

    line: tuple[str, ...] = ()
    ever: frozenset[str] = frozenset()
    last: Entry | None = None
    basis: str = ""

    @property
    def bundle(self) -> str:
        """The present champion's digest, "" if there is none."""
        return self.line[-1] if self.line else ""

    @property
    def previous(self) -> str:
        """What a rollback leads to, "" if there is nothing."""
        return self.line[-2] if len(self.line) > 1 else ""

    @property
    def champion(self) -> Champion | None:
        if self.last is None:
            return None
        return Champion(bundle=self.last.bundle, since=self.last.time, entry=self.basis)

    def above(self, bundle: str) -> tuple[str, ...]:
        """The champions above a former one in the line; none for a bundle that was taken off it."""
        return self.line[self.line.index(bundle) + 1 :] if bundle in self.line else ()

    def after(self, entry: Entry) -> Standing:
        """The standing once the entry is there."""
        if not entry.changes_champion:
            return self
        below = self.line
        if entry.kind == "rolled-back" and entry.bundle in self.line[:-1]:
            below = self.line[: self.line.index(entry.bundle)]
        line = (*below, entry.bundle)
        return Standing(line=line, ever=self.ever | {entry.bundle}, last=entry, basis=entry.digest)


def standing_after(entries: Iterable[Entry]) -> Standing:
    """The standing after the entries, which begin with the first."""
    standing = Standing()
    for entry in entries:
        standing = standing.after(entry)
    return standing


def former_champion(standing: Standing, task: str, to: str | None) -> str:
    """The bundle that a rollback leads to, `to` or the one before; LedgerError where there is none to go back to."""
    target = standing.previous if to is None else to
    if not target:
        former = ", ".join(sorted(digest[:12] for digest in standing.ever - {standing.bundle}))
        first = "it is the first one; another has to be promoted before it can be taken back"
        alone = first if standing.bundle else "nothing was promoted yet"
        way = f"name one with --to, {former} were champion" if former else alone
        raise LedgerError(f"task {task} has no champion below the present one: {way}")
    if target not in standing.ever:
        known = ", ".join(sorted(standing.ever)) or "none"
        raise LedgerError(f"bundle {target} never was champion of task {task}: expected one of {known}")
    if target == standing.bundle:
        raise LedgerError(f"bundle {target} is the champion already: expected a former one; nothing was changed")
    return target


def taken_back(entries: Iterable[Entry], bundle: str) -> Entry | None:
    """The rollback that took the bundle down, unless it was made champion again since; None if there was none.

    A rollback says something against those above the champion that it goes back to. One that undoes another, and brings
    back what that took down, says nothing against the champion that it replaces.
    """
    word, standing = None, Standing()
    for entry in entries:
        if entry.kind == "rolled-back" and bundle in standing.above(entry.bundle):
            word = entry
        elif entry.changes_champion and entry.bundle == bundle:
            word = None
        standing = standing.after(entry)
    return word


def check_order(key: str, entry: Entry, before: Entry | None, standing: Standing) -> tuple[Problem, ...]:
    """What in the entry contradicts those before it, although somebody trusted signed it."""
    problems = []

    def expect(what: str, found: object, expected: object, *, right: bool) -> None:
        if not right:
            text = f"{what} {found or 'none'}"
            problems.append(Problem(entry=key, kind="inconsistent", found=text, expected=str(expected or "none")))

    if before is not None:
        expect("the time", entry.time, f"{before.time} or later", right=entry.time >= before.time)
    if entry.changes_champion:
        expect("the basis", entry.basis, standing.basis, right=entry.basis == standing.basis)
        expect("the replaced champion", entry.champion, standing.bundle, right=entry.champion == standing.bundle)
        expect("passed", entry.passed, "true", right=entry.passed)
    if entry.kind == "put-back":
        expect("the champion that stays", entry.champion, standing.bundle, right=entry.champion == standing.bundle)
        expect("passed", entry.passed, "false", right=not entry.passed)
    if entry.kind == "rolled-back":
        expect("a rollback to", entry.bundle, "a former champion", right=entry.bundle in standing.ever)
    return tuple(problems)
