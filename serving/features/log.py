"""Log: what models were given of the online store, a line of JSON for each row, for whoever compares it later."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from random import random
from typing import Any

import msgspec
from numpy.typing import NDArray

from noria.errors import UsageError
from noria.features import Stored
from serving.features.figures import StoreFigures
from serving.features.note import Status

log = logging.getLogger("serving")

WAITING_ROWS = 20_000  # for the disk; what comes then is dropped and counted
LAST_SECONDS = 5.0  # to write what is left at the end


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """A completed request: its keys, what it brought itself, and what the store added, (rows,) by column.

    The `context` was found along with that, and given to no model. Of what it brought, only single values are written.
    """

    id: str
    rows: int
    moments: Sequence[int]
    keys: Mapping[str, Sequence[str | int]]
    given: Mapping[str, NDArray[Any]]
    features: Mapping[str, NDArray[Any]]
    views: Mapping[str, Sequence[Status]]
    context: Mapping[str, Sequence[Stored]] = field(default_factory=dict)


class FeaturesLog:
    """Appends a share of the completed requests to a file, on a thread of its own; the loop never waits for it.

    A file that has grown to `most_bytes` gets the ending .1, in place of the one before it.
    """

    def __init__(self, path: Path, *, share: float, most_bytes: int, figures: StoreFigures) -> None:
        self._path = path
        self._share = share
        self._most_bytes = most_bytes
        self._figures = figures
        self._queue: SimpleQueue[Given | None] = SimpleQueue()
        self._waiting = 0  # rows, more or less: the loop adds, the thread takes away
        try:
            self._file = self._open()
        except OSError as error:
            raise UsageError(
                f"--features-log {path} cannot be written ({error.strerror}): name another file"
            ) from error
        self._thread = threading.Thread(target=self._run, name="features log", daemon=True)
        self._thread.start()

    def wants(self) -> bool:
        """Say whether the next request is one of those that are logged."""
        return random() < self._share  # noqa: S311 - a sample, no secret

    def put(self, given: Given) -> None:
        """Have it written some time soon, or drop it where the disk does not keep up."""
        if self._waiting > WAITING_ROWS:
            self._figures.logged["dropped"] += given.rows
            return
        self._waiting += given.rows
        self._queue.put(given)

    def close(self) -> None:
        """Write what is left."""
        self._queue.put(None)
        self._thread.join(LAST_SECONDS)

    def _run(self) -> None:
        while (given := self._queue.get()) is not None:
            taken, last = [given], False
            try:
                while len(taken) < 100 and not last:
                    more = self._queue.get_nowait()
                    last = more is None
                    taken += [] if more is None else [more]
            except Empty:
                pass
            self._write(taken)
            if last:
                break
        os.close(self._file)

    def _write(self, taken: Sequence[Given]) -> None:
        rows = sum(given.rows for given in taken)
        self._waiting -= rows
        try:
            text = b"".join(line for given in taken for line in write_lines(given))
            if os.fstat(self._file).st_size + len(text) > self._most_bytes:
                self._turn()
            _write_whole(self._file, text)
            self._figures.logged["written"] += rows
        except OSError as error:
            self._figures.logged["dropped"] += rows
            log.warning("%d rows are missing in the features log %s: %s", rows, self._path, error)

    def _turn(self) -> None:
        """Begin a new file."""
        if os.fstat(self._file).st_size:
            self._path.replace(self._path.with_name(f"{self._path.name}.1"))
            old, self._file = self._file, self._open()
            os.close(old)

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)


def _write_whole(file: int, text: bytes) -> None:
    """Write all of it or nothing: a line without its end would swallow the next one."""
    size = os.fstat(file).st_size
    if os.write(file, text) < len(text):
        os.ftruncate(file, size)
        raise OSError("the disk took only a part")


def write_lines(given: Given) -> list[bytes]:
    """The lines of a request."""
    keys = {name: [None if key == "" else key for key in rows] for name, rows in given.keys.items()}
    own = _lists({name: values for name, values in given.given.items() if values.ndim == 1})
    features = {**_lists(given.features), **given.context}
    return [
        msgspec.json.encode(
            {
                "moment": given.moments[row],
                "id": given.id,
                "keys": {name: rows[row] for name, rows in keys.items()},
                "given": {name: rows[row] for name, rows in own.items()},
                "features": {name: rows[row] for name, rows in features.items()},
                "views": {name: rows[row] for name, rows in given.views.items()},
            }
        )
        + b"\n"
        for row in range(given.rows)
    ]


def _lists(columns: Mapping[str, NDArray[Any]]) -> dict[str, Sequence[Any]]:
    return {name: values.tolist() for name, values in columns.items()}
