"""SQLite: rows from the file of an online store, on the loop's own thread, for a read takes microseconds."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic

from noria.errors import StoreError
from noria.stores.online.sqlite import KEYS_A_STATEMENT, connect_reader, read_statement

LOCK_SECONDS = 0.005  # to wait for who has locked the whole file, which writers do not
LOOK_SECONDS = 1.0  # between two looks whether another file lies there by now


class SqliteReader:
    """Reads through a connection that cannot write. A file that is not there holds no values yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None  # which file the connection has open
        self._looked = 0.0

    def read(self, keys: Sequence[bytes], tell: Callable[[list[bytes | None] | StoreError], None]) -> None:
        """See StoreReader."""
        tell(self.ask(keys))

    def ask(self, keys: Sequence[bytes]) -> list[bytes | None] | StoreError:
        """The rows under the keys, or why there are none."""
        connection = self._connect()
        if not isinstance(connection, sqlite3.Connection):
            return connection or [None] * len(keys)
        try:
            found = _select(connection, keys)
        except sqlite3.Error as error:
            # Even one that is only locked: after an error a connection might be in the middle of something.
            self.close()
            return StoreError(f"the online store {self._path} cannot be read ({error}): look at the file and its disk")
        return [found.get(key) for key in keys]

    def close(self) -> None:
        """See StoreReader."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _connect(self) -> sqlite3.Connection | StoreError | None:
        """The connection; None where there is no file, StoreError for one that is no online store."""
        now = monotonic()
        if self._connection is not None and now - self._looked < LOOK_SECONDS:
            return self._connection
        self._looked = now
        file = self._identify()
        if self._connection is None or file != self._file:
            self.close()
            if file is None:
                return None
            try:
                self._connection = connect_reader(self._path, seconds=LOCK_SECONDS)
            except StoreError as error:
                return error
            self._file = file
        return self._connection

    def _identify(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino


def _select(connection: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, bytes]:
    if len(keys) <= KEYS_A_STATEMENT:
        return dict(connection.execute(read_statement(len(keys)), keys).fetchall())
    found: dict[bytes, bytes] = {}
    connection.execute("BEGIN")  # all statements see the same moment
    for start in range(0, len(keys), KEYS_A_STATEMENT):
        some = keys[start : start + KEYS_A_STATEMENT]
        found.update(connection.execute(read_statement(len(some)), some).fetchall())
    connection.execute("COMMIT")
    return found
