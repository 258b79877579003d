"""SQLite: the online store of one machine, in a file whose readers wait for no writer."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from noria.errors import StoreError
from noria.stores.online.rows import STAMPS, row_key
from noria.stores.online.store import NO_MARKS, Counts, Written, batches, batches_by_view

OURS = int.from_bytes(b"NorO", "big")  # stands in the file's head as its application_id
VERSION = 1
KEYS_A_STATEMENT = 500
ROWS_A_COUNT = 1000
LOOK_SECONDS = 0.01  # between two looks whether another process has made the file
_TABLES = (
    "CREATE TABLE rows (key BLOB PRIMARY KEY, row BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE marks (view TEXT PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID",
    f"PRAGMA application_id = {OURS}",
    f"PRAGMA user_version = {VERSION}",
)
# Blobs are compared byte by byte. A row too short to have instants was torn, and any other is better.
_NOT_LOWER = f"length(row) < {STAMPS} OR substr(excluded.row, 1, {STAMPS}) >= substr(row, 1, {STAMPS})"
_UPSERT = "INSERT INTO rows (key, row) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET row = excluded.row"
_WRITE = f"{_UPSERT} WHERE row <> excluded.row AND ({_NOT_LOWER})"
_SAME = "SELECT row = ? FROM rows WHERE key = ?"
_MARK = (
    "INSERT INTO marks (view, until) VALUES (?, ?) ON CONFLICT (view) DO UPDATE SET until = excluded.until "
    "WHERE until < excluded.until"
)


def read_statement(keys: int) -> str:
    """The one statement that reads so many keys at once, at most KEYS_A_STATEMENT: (key, row) of those there are."""
    return f"SELECT key, row FROM rows WHERE key IN ({', '.join('?' * keys)})"  # noqa: S608 - question marks


def connect_reader(path: Path, *, seconds: float) -> sqlite3.Connection:
    """A connection that can only read, and is of the thread that asks for it; StoreError where no store is there."""
    with _explained(path):
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=seconds)
        try:
            _check(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection


class SqliteOnlineStore:
    """The store in one file; safe to share between threads, which take turns."""

    def __init__(self, path: Path, *, seconds: float) -> None:
        self._path = path
        self._seconds = seconds
        self._turn = threading.Lock()
        with _explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=seconds, isolation_level=None, check_same_thread=False)
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def write(self, rows: Iterable[tuple[bytes, bytes]], marks: Mapping[str, int] = NO_MARKS) -> Written:
        """Write all rows and marks or none; rows are taken one by one, and SQLite spills what memory cannot hold."""
        views: dict[str, Counts] = {}
        with self._turn, _explained(self._path), self._transaction() as connection:
            for view, some in batches_by_view(rows, ROWS_A_COUNT):
                views[view] = views.get(view, Counts()) + _put(connection, some)
            connection.executemany(_MARK, marks.items())
        return Written(views=views)

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The rows under the keys; many keys take several statements, in one transaction."""
        found: dict[bytes, bytes] = {}
        with self._turn, _explained(self._path):
            if len(keys) <= KEYS_A_STATEMENT:
                found.update(self._connection.execute(read_statement(len(keys)), keys))
            else:
                with self._transaction("DEFERRED") as connection:
                    for some in batches(keys, KEYS_A_STATEMENT):
                        found.update(connection.execute(read_statement(len(some)), some))
        return [found.get(key) for key in keys]

    def marks(self) -> dict[str, int]:
        with self._turn, _explained(self._path):
            return dict(self._connection.execute("SELECT view, until FROM marks"))

    def remove(self, view: str) -> int:
        """Remove the view's rows and mark in one transaction."""
        start = row_key(view, ())
        with self._turn, _explained(self._path), self._transaction() as connection:
            removed = connection.execute(
                "DELETE FROM rows WHERE key >= ? AND substr(key, 1, ?) = ?", (start, len(start), start)
            ).rowcount
            connection.execute("DELETE FROM marks WHERE view = ?", (view,))
        return removed

    def close(self) -> None:
        with self._turn, _explained(self._path):
            self._connection.close()

    def _prepare(self) -> None:
        """Make the tables where the file is new; StoreError if it is somebody else's."""
        connection = self._connection
        if not _is_new(connection):
            _check(connection, self._path)
        self._switch_to_wal()
        # With WAL that keeps the file whole in a crash of the machine, too; the last writes may be missing then.
        connection.execute("PRAGMA synchronous = NORMAL")
        with self._transaction():
            if _is_new(connection):
                for statement in _TABLES:
                    connection.execute(statement)
        _check(connection, self._path)

    def _switch_to_wal(self) -> None:
        """Have readers wait for no writer; who makes the file at the same moment is waited for."""
        deadline = time.monotonic() + self._seconds
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                # Of two who switch at once SQLite refuses one immediately, whatever its timeout.
                if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() > deadline:
                    raise
                time.sleep(LOOK_SECONDS)
            else:
                return

    @contextmanager
    def _transaction(self, kind: str = "IMMEDIATE") -> Iterator[sqlite3.Connection]:
        # IMMEDIATE waits for another writer before anything is read; one that is upgraded later may not wait.
        self._connection.execute(f"BEGIN {kind}")
        try:
            yield self._connection
        except BaseException:
            # SQLite itself has gone back already after some errors, such as a full disk.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")


def _put(connection: sqlite3.Connection, rows: Sequence[tuple[bytes, bytes]]) -> Counts:
    written = same = 0
    for key, row in rows:
        if connection.execute(_WRITE, (key, row)).rowcount:
            written += 1
        else:
            same += connection.execute(_SAME, (row, key)).fetchone()[0]
    return Counts(written=written, same=same, older=len(rows) - written - same)


def _is_new(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,))


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """StoreError unless the file is an online store of this version."""
    ((owner,), (version,)) = (
        connection.execute(f"PRAGMA {name}").fetchone() for name in ("application_id", "user_version")
    )
    if owner != OURS:
        raise StoreError(
            f"{path} is a SQLite file of another program: expected Noria's online store, or no file; name another path "
            "in NORIA_ONLINE, or move the file away"
        )
    if version != VERSION:
        raise StoreError(
            f"{path} is an online store of version {version}: expected {VERSION}; move the file away and materialise "
            "again"
        )


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"the online store {path} {_explain(error)}") from error


def _explain(error: sqlite3.Error | OSError) -> str:
    code = getattr(error, "sqlite_errorname", "") or ""
    if code.startswith("SQLITE_NOTADB"):
        return "is no SQLite file: expected Noria's online store, or no file; name another path, or move the file away"
    if code.startswith("SQLITE_CORRUPT"):
        return f"is torn ({error}): expected a whole file; move it away and materialise again"
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return f"is being written ({error}): expected the other writer to finish in time; run again"
    if code.startswith("SQLITE_FULL"):
        return f"has no room ({error}): expected space on its disk; free some and run again: nothing is half there"
    return f"cannot be used ({error}): expected a file that can be read and written; look at the path and its disk"
