"""Anchor: the highest ledger entry ever seen from this machine, kept outside of the object store.

A chain shows that something was taken out of its middle, but not that its end was cut off; the anchor shows that.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from noria.errors import LedgerError
from noria.ml.durable import make_folder, write_whole
from noria.ml.manifest import digest_of


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """`ledger` is the address of the entries, because one machine may know several stores."""

    ledger: str
    sequence: int
    digest: str


class AnchorFile:
    """The anchor of one ledger in a folder; it only moves forward, whoever writes it at once."""

    def __init__(self, folder: Path, task: str, ledger: str) -> None:
        self._ledger = ledger
        self.path = folder / f"{task}-{digest_of(ledger.encode())[:12]}.json"

    def read(self) -> Anchor | None:
        """The anchor, None if there is none yet; LedgerError if its file is torn."""
        try:
            anchor = msgspec.json.decode(self.path.read_bytes(), type=Anchor, strict=True)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise LedgerError(
                f"the ledger's anchor {self.path} cannot be read ({error}): expected the last entry that was seen; "
                "restore it, or remove it if you trust the ledger as it is"
            ) from error
        if anchor.ledger != self._ledger:
            raise LedgerError(f"the anchor {self.path} belongs to {anchor.ledger}: expected {self._ledger}; remove it")
        return anchor

    def advance(self, sequence: int, digest: str) -> None:
        """Remember the entry, unless a later one is remembered already; LedgerError if that cannot be written."""
        try:
            with self._locked():
                seen = self.read()
                if seen is None or seen.sequence < sequence:
                    anchor = Anchor(ledger=self._ledger, sequence=sequence, digest=digest)
                    write_whole(self.path, msgspec.json.encode(anchor, order="deterministic"))
        except OSError as error:
            raise LedgerError(
                f"the ledger's anchor {self.path} cannot be written ({error.strerror}): expected a folder that can be "
                "written; free space or mend it, then run again: the ledger itself is whole"
            ) from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        make_folder(self.path.parent)
        descriptor = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
