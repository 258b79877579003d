"""Releases: the ledger of a task, in which every evaluation, promotion and rollback is an entry that stays.

An entry is the object `releases/<task>/<sequence>.json`, created exclusively, signed, and chained by the digest of
the one before it. Who is champion, and which model served at a time, are read from it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from noria.errors import LedgerError, ObjectExistsError, ObjectMissingError, UsageError
from noria.ml.manifest import digest_of
from noria.ml.signature import Signer, TrustedKeys
from noria.stores.anchor import AnchorFile
from noria.stores.chain import Chain, check_anchor, folder_of, key_of, read_on
from noria.stores.ledger_entry import Entry, Finding, Kind, Problem, encode_entry, sign_entry
from noria.stores.objects import ObjectStore
from noria.stores.published import verify_published
from noria.stores.standing import Champion, former_champion

_TASK = re.compile(r"[a-z0-9-]{1,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_TRIES = 50
_CLOCK_TOLERANCE = timedelta(minutes=5)


class Ledger:
    """The release ledger of one task.

    `signer` is None for those who only read. `anchors` is a folder outside of the store that remembers the last entry
    seen, so that a cut-off end is noticed. Reading checks every entry once and refuses a broken one with LedgerError.
    Entries never change, so what was read is kept, and reading again asks the store only for what is new.
    """

    def __init__(
        self,
        store: ObjectStore,
        task: str,
        *,
        signer: Signer | None,
        trusted: TrustedKeys,
        anchors: Path | None,
        clock: Callable[[], datetime],
    ) -> None:
        if not _TASK.fullmatch(task):
            raise UsageError(f"{task!r} is not a task's name: expected 1 to 63 of [a-z0-9-]")
        self._store, self._task, self._signer, self._trusted, self._clock = store, task, signer, trusted, clock
        self._anchor = AnchorFile(anchors, task, store.uri(folder_of(task))) if anchors else None
        self._read_so_far = Chain()

    def entries(self) -> tuple[Entry, ...]:
        """All entries, first to last."""
        return self._read().entries

    def champion(self) -> Champion | None:
        """The bundle that serves now, None before the first promotion."""
        return self._read().standing.champion

    def champion_at(self, time: datetime) -> Entry | None:
        """The entry that made champion what served at the time, and says why; None if nothing served yet."""
        if time.tzinfo is None:
            raise UsageError(f"{time} lacks a time zone: give an instant, such as 2026-01-31T12:00:00Z")
        changes = [entry for entry in self._read().entries if entry.changes_champion and entry.time <= time]
        return changes[-1] if changes else None

    def basis(self) -> str:
        """The digest of the last entry that changed the champion, "" if there is none."""
        return self._read().standing.basis

    def plan_basis(self, plan: str) -> str:
        """The basis for a run of this plan: if the plan itself made the champion, the basis that it had then.

        So a run that is repeated compares with what it compared with before, and finds its own results again.
        """
        standing = self._read().standing
        last = standing.last
        return last.basis if last is not None and last.kind == "promoted" and last.plan == plan else standing.basis

    def put_evidence(self, data: bytes) -> str:
        """Keep the evidence (JSON) in the store and return its digest, by which an entry names it."""
        digest = digest_of(data)
        with suppress(ObjectExistsError):
            self._store.put_new(f"evidence/{digest}.json", data)
        self.read_evidence(digest)
        return digest

    def read_evidence(self, digest: str) -> bytes:
        """The evidence of this digest; LedgerError if it is missing or was altered."""
        key = f"evidence/{_digest('evidence', digest)}.json"
        try:
            data = self._store.get(key)
        except ObjectMissingError as error:
            raise LedgerError(
                f"{key} is missing: expected the evidence of a decision; put it there, or restore it"
            ) from error
        if digest_of(data) != digest:
            raise LedgerError(f"{key} was altered: its digest is {digest_of(data)}; restore it from a copy")
        return data

    def record_evaluation(
        self,
        *,
        bundle: str,
        champion: str,
        plan: str,
        basis: str,
        evidence: str,
        passed: bool,
        reason: str,
        actor: str,
        code: str,
    ) -> Entry:
        """Record that the bundle was judged; an entry of the same plan and the same end is returned as it is.

        Its evidence may differ: a run that was killed measures the latency again, and comes to the same end.
        """
        draft = self._draft(
            "evaluated", bundle=bundle, champion=champion, plan=plan, basis=basis, evidence=evidence, passed=passed,
            reason=reason, actor=actor, code=code,
        )  # fmt: skip

        def decide(chain: Chain) -> Entry:
            return next((entry for entry in chain.entries if _same_judgement(entry, draft)), draft)

        return self._append(decide)

    def promote(
        self, *, bundle: str, plan: str, basis: str, evidence: str, reason: str, actor: str, code: str
    ) -> Entry:
        """Make the bundle champion, if `basis` still is the ledger's basis; done again, it changes nothing.

        LedgerError if the champion changed since, also when another promotion comes first at this very moment.
        """
        draft = self._draft(
            "promoted", bundle=bundle, champion="", plan=plan, basis=basis, evidence=evidence, passed=True,
            reason=reason, actor=actor, code=code,
        )  # fmt: skip

        def decide(chain: Chain) -> Entry:
            return self._standing_promotion(chain, bundle, plan, basis) or replace(
                draft, champion=chain.standing.bundle
            )

        return self._append(decide)

    def check_promotion(self, *, bundle: str, plan: str, basis: str) -> None:
        """LedgerError where `promote` would refuse at this moment, because the champion changed since."""
        self._standing_promotion(self._read(), bundle, plan, basis)

    def record_put_back(
        self, *, bundle: str, plan: str, basis: str, evidence: str, reason: str, actor: str, code: str
    ) -> Entry:
        """Record that the bundle did not come up where it was to serve: who is champion stays so."""
        draft = self._draft(
            "put-back", bundle=bundle, champion="", plan=plan, basis=basis, evidence=evidence, passed=False,
            reason=reason, actor=actor, code=code,
        )  # fmt: skip
        return self._append(lambda chain: replace(draft, champion=chain.standing.bundle))

    def rollback_target(self, to: str | None) -> str:
        """The bundle that `rollback` would make champion, as it lies in the store; raises what `rollback` does."""
        target = former_champion(self._read().standing, self._task, to)
        verify_published(self._store, target, task=self._task, trusted=self._trusted)
        return target

    def rollback(self, *, to: str | None, reason: str, actor: str, code: str = "", basis: str | None = None) -> Entry:
        """Make a former champion champion again: the one before, or the one of the digest `to`.

        LedgerError if there is none, if it serves already, or if the champion changes at this very moment, or did since
        `basis`; BundleError if what is to serve is no longer in the store as it was published. Nothing is written then.
        """
        seen = self.basis() if basis is None else basis
        target = self.rollback_target(to)

        def decide(chain: Chain) -> Entry:
            if chain.standing.basis != seen:
                raise LedgerError(
                    self._overtaken(chain, seen, "the rollback was asked for: look at it, then ask again")
                )
            return self._draft(
                "rolled-back", bundle=target, champion=chain.standing.bundle, plan="", basis=seen,
                evidence="", passed=True, reason=reason, actor=actor, code=code,
            )  # fmt: skip

        return self._append(decide)

    def verify(self) -> tuple[Problem, ...]:
        """Read everything anew and say all that is wrong: entries, their order, their end, their evidence."""
        anchor = self._anchor.read() if self._anchor else None
        chain, problems = read_on(self._store, self._task, self._trusted, Chain())
        problems += check_anchor(self._task, chain, anchor)
        return problems + tuple(self._check_evidence(chain))

    def _read(self) -> Chain:
        # The anchor is read before the entries: one that is written in between is then no sign of a cut-off end.
        anchor = self._anchor.read() if self._anchor else None
        chain, problems = read_on(self._store, self._task, self._trusted, self._read_so_far)
        problems += check_anchor(self._task, chain, anchor)
        if problems:
            more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
            raise LedgerError(
                f"the ledger of task {self._task} is broken: {problems[0]}{more}; see all with `noria releases "
                "verify`, then restore what was changed from a copy"
            )
        self._read_so_far = chain
        if self._anchor and chain.end and (anchor is None or anchor.sequence < chain.end):
            # One who may read the ledger but not write here still reads it, with the anchor that there is.
            with suppress(LedgerError):
                self._anchor.advance(chain.end, chain.tip)
        return chain

    def _append(self, decide: Callable[[Chain], Entry]) -> Entry:
        """Write the entry on which is decided, each time anew when another writer was first."""
        for _ in range(_TRIES):
            chain = self._read()
            draft = decide(chain)
            if draft.sequence:
                return draft
            entry = self._complete(draft, chain)
            data = encode_entry(entry)
            with suppress(ObjectExistsError):
                self._store.put_new(key_of(self._task, entry.sequence), data)
                if self._anchor:
                    self._anchor.advance(entry.sequence, digest_of(data))
                return entry
        raise LedgerError(f"other writers were first {_TRIES} times in a row: expected a free place; run again")

    def _complete(self, draft: Entry, chain: Chain) -> Entry:
        if self._signer is None:
            raise LedgerError(
                "no signing key: expected one, because entries are signed; write with a key, or only read"
            )
        now = self._clock().astimezone(UTC)
        last = chain.entries[-1].time if chain.entries else now
        if last - now > _CLOCK_TOLERANCE:
            raise LedgerError(f"the clock says {now}, the last entry {last}: expected a later time; set the clock")
        completed = replace(draft, sequence=chain.end + 1, previous=chain.tip, time=max(now, last))
        return sign_entry(completed, self._signer)

    def _draft(
        self, kind: Kind, *, bundle: str, champion: str, plan: str, basis: str, evidence: str, passed: bool,
        reason: str, actor: str, code: str,
    ) -> Entry:  # fmt: skip
        _digest("bundle", bundle)
        for name, value in (("champion", champion), ("plan", plan), ("basis", basis), ("evidence", evidence)):
            if value:
                _digest(name, value)
        if evidence or kind in ("evaluated", "promoted"):
            self.read_evidence(evidence)
        return Entry(
            sequence=0, previous="", kind=kind, task=self._task, time=datetime.min.replace(tzinfo=UTC), bundle=bundle,
            champion=champion, plan=plan, basis=basis, evidence=evidence, passed=passed, reason=reason, actor=actor,
            code=code, signer="", signature="",
        )  # fmt: skip

    def _standing_promotion(self, chain: Chain, bundle: str, plan: str, basis: str) -> Entry | None:
        """The entry that made the bundle champion, if that is done; LedgerError if another one is champion since."""
        standing = chain.standing
        last = standing.last
        if last is not None and (last.kind, last.bundle, last.plan, last.basis) == ("promoted", bundle, plan, basis):
            return last
        if standing.basis != basis:
            raise LedgerError(self._overtaken(chain, basis, "this run was evaluated: nothing was promoted; run again"))
        return last if last is not None and last.bundle == bundle else None

    def _overtaken(self, chain: Chain, basis: str, since: str) -> str:
        before = next((entry.bundle for entry in chain.entries if chain.digests[entry.sequence] == basis), "none")
        return f"the champion changed from {before} to {chain.standing.bundle or 'none'} while {since}"

    def _check_evidence(self, chain: Chain) -> Iterator[Problem]:
        for digest in sorted({entry.evidence for entry in chain.entries if entry.evidence}):
            try:
                self.read_evidence(digest)
            except LedgerError as error:
                kind: Finding = "missing" if isinstance(error.__cause__, ObjectMissingError) else "altered"
                yield Problem(entry=f"evidence/{digest}.json", kind=kind, found=str(error), expected="the evidence")


def _same_judgement(entry: Entry, draft: Entry) -> bool:
    """Whether both say the same thing, whoever said it, when, and from which measurement."""
    return all(getattr(entry, name) == getattr(draft, name) for name in ("kind", "bundle", "plan", "basis", "passed"))


def _digest(name: str, value: str) -> str:
    if not _DIGEST.fullmatch(value):
        raise LedgerError(f"{name} {value[:80]!r} is not a digest: expected 64 characters of [0-9a-f]")
    return value
