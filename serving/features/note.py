"""Note: how far an answer rests on what the online store said when it was asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

# fresh: the store's value. unknown: it has none. newer: it has one that was known only after the moment asked about.
# expired: it is older than its view's ttl. last known: the store did not say, or has lost it, and this process had read
# it before. unread: the store did not say, and nobody knows.
Status = Literal["fresh", "unknown", "newer", "expired", "last known", "unread"]
STATUSES: tuple[Status, ...] = ("fresh", "unknown", "newer", "expired", "last known", "unread")
DEGRADED = frozenset({"last known", "unread"})


class Note(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is said of a request's features: `degraded` where the store failed, else `defaults` where it had no value.

    `views` has the views that are not fresh in all rows: rows by status.
    """

    features: str
    views: Mapping[str, Mapping[str, int]]

    @property
    def text(self) -> str:
        """The views as JSON text: a parameter of the protocol may be no object."""
        return msgspec.json.encode(self.views).decode()


def write_note(found: Mapping[str, Sequence[Status]]) -> Note | None:
    """Sum up the statuses of each view's rows; None where all are fresh."""
    views: dict[str, dict[str, int]] = {
        view: dict(Counter[str](rows)) for view, rows in found.items() if rows.count("fresh") < len(rows)
    }
    if not views:
        return None
    degraded = any(not DEGRADED.isdisjoint(counts) for counts in views.values())
    return Note(features="degraded" if degraded else "defaults", views=views)
