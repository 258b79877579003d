"""Chain: a ledger's entries, read from the store one after the other, and what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from noria.errors import ObjectMissingError
from noria.ml.manifest import digest_of
from noria.ml.signature import TrustedKeys
from noria.stores.anchor import Anchor
from noria.stores.ledger_entry import Entry, Problem, check_entry
from noria.stores.objects import ObjectStore
from noria.stores.standing import Standing, check_order

_NAME = re.compile(r"[0-9]{8}\.json")


@dataclass(frozen=True, kw_only=True)
class Chain:
    """What was read so far. Without problems, `entries[i]` has sequence i + 1, the last one `end`."""

    entries: tuple[Entry, ...] = ()
    digests: Mapping[int, str] = field(default_factory=dict)  # by sequence, of the bytes as they are stored
    end: int = 0
    standing: Standing = field(default_factory=Standing)

    @property
    def tip(self) -> str:
        """The digest of the last entry, "" before the first."""
        return self.digests.get(self.end, "")


def folder_of(task: str) -> str:
    return f"releases/{task}"


def key_of(task: str, sequence: int) -> str:
    return f"{folder_of(task)}/{sequence:08}.json"


def read_on(store: ObjectStore, task: str, trusted: TrustedKeys, chain: Chain) -> tuple[Chain, tuple[Problem, ...]]:
    """Read what came after the chain; StoreError if the store cannot be read."""
    walk = _Walk(store, task, trusted, chain)
    for key in store.list(f"{folder_of(task)}/", after=key_of(task, chain.end) if chain.end else ""):
        name = key.removeprefix(f"{folder_of(task)}/")
        if _NAME.fullmatch(name) and int(name[:8]) > 0:
            walk.reach(int(name[:8]))
        else:
            found = "an object that is no entry"
            walk.problems.append(Problem(entry=key, kind="inserted", found=found, expected="entries only"))
    return walk.chain(), tuple(walk.problems)


def check_anchor(task: str, chain: Chain, anchor: Anchor | None) -> tuple[Problem, ...]:
    """Whether the chain still holds the last entry that was seen before."""
    if anchor is None:
        return ()
    seen = f"entry {anchor.sequence} with digest {anchor.digest}, as seen earlier"
    key = key_of(task, anchor.sequence)
    if anchor.sequence > chain.end:
        end = f"the end after entry {chain.end}"
        return (Problem(entry=key, kind="truncated", found=end, expected=seen),)
    digest = chain.digests.get(anchor.sequence)
    if digest is not None and digest != anchor.digest:
        return (Problem(entry=key, kind="altered", found=f"digest {digest}", expected=seen),)
    return ()


class _Walk:
    """A way along the entries, from where a chain ends."""

    def __init__(self, store: ObjectStore, task: str, trusted: TrustedKeys, chain: Chain) -> None:
        self._store, self._task, self._trusted = store, task, trusted
        self._entries, self._digests = list(chain.entries), dict(chain.digests)
        self._end, self._standing = chain.end, chain.standing
        self.problems: list[Problem] = []

    def chain(self) -> Chain:
        return Chain(entries=tuple(self._entries), digests=self._digests, end=self._end, standing=self._standing)

    def reach(self, target: int) -> None:
        """Go on up to the entry, which was listed."""
        while self._end < target:
            sequence = self._end + 1
            key = key_of(self._task, sequence)
            try:
                # A listing may show an entry and not yet the one before it, so each is asked for by its own key.
                data = self._store.get(key)
            except ObjectMissingError:
                # Only the target is known to be there, and a gap may be as wide as the numbers go.
                self._end = max(sequence, target - 1)
                gap = f"nothing up to entry {self._end}"
                self.problems.append(Problem(entry=key, kind="missing", found=gap, expected="an entry"))
            else:
                self._link(key, sequence, data)

    def _link(self, key: str, sequence: int, data: bytes) -> None:
        previous = self._digests.get(self._end, "" if self._end == 0 else None)
        entry, problems = check_entry(
            key, data, sequence=sequence, task=self._task, previous=previous, trusted=self._trusted
        )
        self._end, self._digests[sequence] = sequence, digest_of(data)
        # What follows from a damaged entry means nothing, so the order is judged only up to the first damage.
        if entry is not None and not problems and not self.problems:
            problems = check_order(key, entry, self._entries[-1] if self._entries else None, self._standing)
        self.problems += problems
        if entry is not None and not self.problems:
            self._entries.append(entry)
            self._standing = self._standing.after(entry)
