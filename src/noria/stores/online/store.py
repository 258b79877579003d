"""Store: what every online store promises, and which one an address means."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, TypeVar

from noria.stores.online.address import SqliteAddress, parse_address, read_password
from noria.stores.online.rows import view_of

NO_MARKS: Mapping[str, int] = MappingProxyType({})
Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What became of rows that were written."""

    written: int = 0
    same: int = 0  # these very bytes were there
    older: int = 0  # what is there is newer

    @property
    def seen(self) -> int:
        return self.written + self.same + self.older

    def __add__(self, other: Counts) -> Counts:
        return Counts(written=self.written + other.written, same=self.same + other.same, older=self.older + other.older)


@dataclass(frozen=True, kw_only=True)
class Written:
    """What became of the rows of one call, by view."""

    views: Mapping[str, Counts]

    @property
    def total(self) -> Counts:
        return sum(self.views.values(), Counts())


class OnlineStore(Protocol):
    """What all stores promise, to any number of processes at once; a failure is a StoreError with its cause.

    A row replaces another one only if the first bytes of it, its instants, are not lower; the store decides that
    itself, so it does not matter who comes first. Rows are those that Packer makes, keys those that row_key makes.
    """

    def write(self, rows: Iterable[tuple[bytes, bytes]], marks: Mapping[str, int] = NO_MARKS) -> Written:
        """Write all rows and marks or none of them, also where this process is killed; rows are taken one by one.

        `marks` say by view until when it was materialised, in µs since 1970; a mark never goes back.
        """

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The packed rows under the keys, all of one moment, in the order of the keys; None where there is none."""

    def marks(self) -> dict[str, int]:
        """Until when each view was materialised."""

    def remove(self, view: str) -> int:
        """Remove the view's rows and mark; how many rows there were. Not whole: others may see it half done."""

    def close(self) -> None:
        """Give back connections and files."""


def open_online(
    address: str, *, password_file: Path | None = None, seconds: float = 30.0, folder: Path | None = None
) -> OnlineStore:
    """Open the store at a path, `sqlite:PATH`, `redis://HOST:PORT/DB` or `rediss://…`; UsageError for another address.

    `seconds` is how long a call waits for other writers, or for a server. A relative path lies below `folder`.
    StoreError where the store cannot be opened.
    """
    found = parse_address(address)
    if isinstance(found, SqliteAddress):
        from noria.stores.online.sqlite import SqliteOnlineStore

        return SqliteOnlineStore((folder or Path.cwd()) / found.path, seconds=seconds)
    from noria.stores.online.redis import RedisOnlineStore

    return RedisOnlineStore(found, password=read_password(password_file), seconds=seconds)


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items, at most `size` at a time."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def batches_by_view(rows: Iterable[tuple[bytes, bytes]], size: int) -> Iterator[tuple[str, list[tuple[bytes, bytes]]]]:
    """The rows in their order, at most `size` at a time, each time of one view."""
    for view, some in groupby(rows, key=lambda row: view_of(row[0])):
        for batch in batches(some, size):
            yield view, batch
