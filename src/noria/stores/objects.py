"""Objects: keys with bytes behind them, whatever keeps them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Protocol

from noria.errors import StoreError

# A segment that begins with a dot is the store's own: staging areas, markers.
_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
_LONGEST_KEY = 512
_LONGEST_SEGMENT = 255


class ObjectStore(Protocol):
    """What both stores promise, to any number of processes at once; a failure is a StoreError with its cause.

    An object or a folder is visible whole or not at all; once a call has returned it outlives a crash of the machine.
    """

    def put(self, key: str, data: bytes) -> None:
        """Write the object, in place of one that is there."""

    def put_new(self, key: str, data: bytes) -> None:
        """Write the object where none is: of any number of writers one succeeds, the others get ObjectExistsError."""

    def get(self, key: str) -> bytes:
        """Read the object, checked against what was written; ObjectMissingError if there is none."""

    def list(self, prefix: str, *, after: str = "") -> list[str]:
        """The keys that begin with the prefix and come after the key `after`, sorted."""

    def exists(self, key: str) -> bool:
        """Whether there is an object of this key, or a whole folder that was put under it."""

    def delete(self, key: str) -> None:
        """Remove the object; one that is not there is no error."""

    def put_folder(self, prefix: str, folder: Path) -> None:
        """Publish the folder's files under the prefix, at once; done again with the same files it changes nothing.

        ObjectExistsError if other files are there, StoreError if the folder is empty or holds links.
        """

    def fetch_folder(self, prefix: str, folder: Path) -> None:
        """Copy a folder that was put under the prefix to a new place, at once; nothing is done if it is there already.

        ObjectMissingError if no whole folder is there, StoreError if the new place holds something else.
        """

    def uri(self, key: str) -> str:
        """The address of the object for other programs."""


def check_key(key: str) -> str:
    """Return the key; StoreError unless it means the same in every store and cannot lead out of one."""
    long = len(key) > _LONGEST_KEY or any(len(segment) > _LONGEST_SEGMENT for segment in key.split("/"))
    if long or not _KEY.fullmatch(key):
        raise StoreError(
            f"{key[:80]!r} is not a key: expected segments of [A-Za-z0-9._-] without a dot in front, joined by /, "
            f"at most {_LONGEST_SEGMENT} characters each and {_LONGEST_KEY} together"
        )
    return key


def check_prefix(prefix: str) -> str:
    """Return what keys may begin with: a key, one that ends with /, or nothing."""
    if prefix:
        check_key(prefix.removesuffix("/"))
    return prefix
