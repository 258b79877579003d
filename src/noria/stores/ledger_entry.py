"""Ledger entry: one decision about a bundle, as it is written, signed and checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

import msgspec

from noria.errors import BundleError
from noria.ml.manifest import digest_of
from noria.ml.signature import Signer, TrustedKeys

# put-back: it was to become champion, did not come up where it serves, and what served before was put back there.
Kind = Literal["evaluated", "promoted", "rolled-back", "put-back"]
Finding = Literal["altered", "missing", "inserted", "reordered", "forged", "broken chain", "inconsistent", "truncated"]
PAYLOAD_TYPE = "application/vnd.noria.release+json"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One entry of a task's ledger; digests are sha256 in hex, "" where there is none."""

    sequence: int  # from 1, without gaps
    previous: str  # the digest of the entry before
    kind: Kind
    task: str
    time: datetime  # in UTC; never before the time of the entry before
    bundle: str  # what was evaluated, became champion, or did not come up
    champion: str  # what it was compared with, or replaces; for a put-back, what stays champion
    plan: str  # the digest of the run's inputs; "" for a rollback
    basis: str  # the digest of the last champion-changing entry, on which this decision is based
    evidence: str  # the digest of the object evidence/<digest>.json; "" for a rollback
    passed: bool
    reason: str
    actor: str
    code: str  # the version of the code
    signer: str  # the id of the key that signed
    signature: str  # base64 of an ECDSA signature over the entry with this field empty

    @property
    def digest(self) -> str:
        """The sha256 of the entry as it is stored."""
        return digest_of(encode_entry(self))

    @property
    def changes_champion(self) -> bool:
        return self.kind in ("promoted", "rolled-back")


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something that is wrong with a ledger: where, what kind, what was found and what was expected."""

    entry: str  # the object's key
    kind: Finding
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.entry}: {self.kind}: found {self.found}, expected {self.expected}"


def encode_entry(entry: Entry) -> bytes:
    """The one form in which the entry is stored: equal entries, equal bytes."""
    return msgspec.json.encode(entry, order="deterministic")


def decode_entry(data: bytes) -> Entry:
    """Read an entry; ValueError unless it is, byte for byte, what `encode_entry` writes."""
    entry = msgspec.json.decode(data, type=Entry, strict=True)
    if encode_entry(entry) != data:
        raise ValueError("it is not in the form in which entries are written")
    return entry


def sign_entry(entry: Entry, signer: Signer) -> Entry:
    """The entry with the signer's id and signature."""
    named = replace(entry, signer=signer.key_id, signature="")
    return replace(named, signature=signer.sign(PAYLOAD_TYPE, encode_entry(named)))


def check_entry(
    key: str, data: bytes, *, sequence: int, task: str, previous: str | None, trusted: TrustedKeys
) -> tuple[Entry | None, tuple[Problem, ...]]:
    """Read the bytes that lie at a place of the chain, and say what is wrong with them.

    `previous` is the digest of the entry before, None where that one is missing. It is None if it cannot be read.
    """
    try:
        entry = decode_entry(data)
    except ValueError as error:
        problem = Problem(entry=key, kind="altered", found=f"no entry ({error})", expected="an entry")
        return None, (problem,)
    return entry, tuple(_problems(key, entry, sequence, task, previous, trusted))


def _problems(
    key: str, entry: Entry, sequence: int, task: str, previous: str | None, trusted: TrustedKeys
) -> Iterator[Problem]:
    if (entry.sequence, entry.task) != (sequence, task):
        found, expected = f"entry {entry.sequence} of task {entry.task!r}", f"entry {sequence} of task {task!r}"
        yield Problem(entry=key, kind="reordered", found=found, expected=expected)
    if previous is not None and entry.previous != previous:
        found = f"the digest {entry.previous or 'of nothing'} as the one before"
        yield Problem(entry=key, kind="broken chain", found=found, expected=previous or "none, being the first")
    try:
        trusted.verify_payload(
            key_id=entry.signer,
            payload_type=PAYLOAD_TYPE,
            payload=encode_entry(replace(entry, signature="")),
            signature=entry.signature,
        )
    except BundleError as error:
        yield Problem(entry=key, kind="forged", found=str(error), expected="the signature of a trusted key")
