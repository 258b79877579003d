"""Lease: the turn to change a task's object, one holder at a time, which ends by itself with a killed holder."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from cluster.api import Api
from cluster.objects import read
from cluster.permissions import LEASES
from noria.errors import ClusterError, ConflictError

SERVED = "noria.dev/served"  # an annotation: the object as it was applied when it last came up


@dataclass(frozen=True, kw_only=True)
class Pace:
    """In seconds: how long a turn lasts without a sign of life, and how often one is given, or looked for."""

    lasts: float = 30.0
    renew: float = 8.0
    look: float = 2.0


class _Meta(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str = ""
    annotations: dict[str, str] = msgspec.field(default_factory=dict)


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class _Lease(msgspec.Struct, frozen=True):
    metadata: _Meta
    spec: _Spec = _Spec()


@dataclass(kw_only=True)
class Held:
    """A lease that is held; `note` is what it tells the next holder."""

    api: Api
    name: str
    who: str
    pace: Pace
    lease: _Lease
    since: str
    note: str
    lost: str = ""
    renewed: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def check(self) -> None:
        """ConflictError if the turn may have gone to somebody else by now.

        Who was stopped for longer than it lasts, or could not reach the cluster, has it still if nobody took it.
        """
        if not self.lost and self._is_overdue():
            self.renew()
        if self.lost or self._is_overdue():
            raise ConflictError(
                f"the turn {self.name} in namespace {self.api.namespace} was lost ({self.lost or 'not renewed'}): "
                "expected to keep it to the end; run this again"
            )

    def renew(self) -> None:
        """Give a sign of life; a cluster that stumbles is asked again the next time."""
        try:
            self._write(self.who)
        except ConflictError as error:
            self.lost = str(error)
        except ClusterError:
            return

    def let_go(self) -> None:
        """End the turn; where that fails, it ends by itself."""
        with suppress(ClusterError):
            self._write("")

    def _is_overdue(self) -> bool:
        return time.monotonic() - self.renewed > self.pace.lasts

    def _write(self, who: str) -> None:
        with self._lock:
            at = time.monotonic()
            try:
                self._replace(who)
            except ConflictError:
                # The answer to an earlier write of ours may have been lost: then its version is the one to go on from.
                found = self.api.get(LEASES, self.name)
                lease = _decode(found) if found is not None else None
                if lease is None or lease.spec.holder_identity != self.who:
                    raise
                self.lease = lease
                self._replace(who)
            self.renewed = at

    def _replace(self, who: str) -> None:
        body = _body(self.name, who, self.since, self.pace, self.lease, self.note)
        self.lease = _decode(self.api.replace(LEASES, self.name, body))


@contextmanager
def hold(api: Api, name: str, who: str, pace: Pace, *, hear: Callable[[str], None] = lambda _: None) -> Iterator[Held]:
    """Hold the lease for as long as the block runs; ConflictError says who holds it already.

    `hear` gets who had it last, where it has to be waited whether that one is still alive.
    """
    held = _take(api, name, f"{who} ({uuid.uuid4().hex[:8]})", pace, hear)
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(pace.renew):
            held.renew()

    thread = threading.Thread(target=renew, name=f"lease-{name}", daemon=True)
    thread.start()
    try:
        yield held
    finally:
        ended.set()
        thread.join(pace.lasts / 3)
        if not thread.is_alive():  # one that waits for an answer may wait for long: then the turn ends by itself
            held.let_go()


def _take(api: Api, name: str, who: str, pace: Pace, hear: Callable[[str], None]) -> Held:
    """Take the lease where nobody has it, or where its holder gave no sign of life for as long as it lasts."""
    seen, since = "", time.monotonic()
    while True:
        found = api.get(LEASES, name)
        lease = _decode(found) if found is not None else _Lease(metadata=_Meta())
        holder, lasts = lease.spec.holder_identity or "", lease.spec.lease_duration_seconds or pace.lasts
        # Clocks of two machines may differ, so only what passes here counts, as in Kubernetes' own leader election.
        if lease.metadata.resource_version != seen:
            if seen and holder not in ("", who):
                raise _refusal(api, name, lease, lasts)
            if holder not in ("", who):
                hear(f"{holder} has the turn: waiting {lasts:.0f} s at most for a sign of life, or the end, of that")
            seen, since = lease.metadata.resource_version, time.monotonic()
        if holder in ("", who) or time.monotonic() - since > lasts:
            with suppress(ConflictError):  # somebody else was first: look again
                return _make(api, name, who, pace, lease, found is None)
        time.sleep(min(pace.look, pace.lasts / 4))


def _make(api: Api, name: str, who: str, pace: Pace, lease: _Lease, new: bool) -> Held:
    since, at, note = _now(), time.monotonic(), lease.metadata.annotations.get(SERVED, "")
    body = _body(name, who, since, pace, lease, note, took=True)
    written = api.create(LEASES, body) if new else api.replace(LEASES, name, body)
    return Held(api=api, name=name, who=who, pace=pace, lease=_decode(written), since=since, note=note, renewed=at)


def _refusal(api: Api, name: str, lease: _Lease, lasts: float) -> ConflictError:
    return ConflictError(
        f"{lease.spec.holder_identity} has the turn {name} in namespace {api.namespace} since "
        f"{lease.spec.acquire_time}, and is at work (last sign of life {lease.spec.renew_time}): expected one release "
        f"of a task at a time; run this again when that one has ended, or at any time after it was killed: its turn "
        f"ends {lasts:.0f} s after the last sign, which the next one waits for"
    )


def _body(
    name: str, who: str, since: str, pace: Pace, lease: _Lease, note: str, *, took: bool = False
) -> Mapping[str, Any]:
    metadata: dict[str, Any] = {"name": name, "annotations": {**lease.metadata.annotations, SERVED: note}}
    if lease.metadata.resource_version:
        metadata["resourceVersion"] = lease.metadata.resource_version
    return {
        "apiVersion": LEASES.api_version,
        "kind": "Lease",
        "metadata": metadata,
        "spec": {
            "holderIdentity": who,
            "leaseDurationSeconds": max(1, round(pace.lasts)),
            "acquireTime": since,
            "renewTime": _now(),
            "leaseTransitions": (lease.spec.lease_transitions or 0) + int(took),
        },
    }


def _decode(data: bytes) -> _Lease:
    return read(data, _Lease)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
