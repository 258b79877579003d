"""Running: a step's process, from its first line to its last: what it tells, and when it must end."""

from __future__ import annotations

import os
import select
import stat
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from noria.errors import NoriaError
from noria.ml.progress import Progress, reporter
from noria.steps.workspace import Workspace

STARTED = "noria-started "
FINISHED = "noria-finished "
FAILED = "noria-failed "


@dataclass(frozen=True, kw_only=True)
class Event:
    """A line by which a step says that it started, finished or failed."""

    step: str
    seconds: float = 0.0
    error: str = ""
    message: str = ""
    exit_code: int = 0


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a step's body works with."""

    workspace: Workspace
    progress: Progress


@contextmanager
def running(step: str) -> Iterator[Run]:
    """Run a step's body: announce it, and tell its failure in one line before the traceback goes to the log."""
    _end_with_reader()
    start = time.monotonic()
    _tell(STARTED, Event(step=step))
    try:
        yield Run(workspace=Workspace.from_environment(), progress=reporter(step))
    except Exception as error:  # the outermost door of a step's process: it must not end without a word
        traceback.print_exc(file=sys.stdout)  # before the line that ends the listening
        code = error.exit_code if isinstance(error, NoriaError) else 1
        _tell(FAILED, Event(step=step, error=type(error).__name__, message=_explain(error), exit_code=code))
        raise
    _tell(FINISHED, Event(step=step, seconds=round(time.monotonic() - start, 3)))


def _explain(error: Exception) -> str:
    """What the error says; one of the system's own names no next step, so it is given here."""
    if isinstance(error, OSError):
        return f"the system refused ({error}): look at the path, its permissions and the free space"
    return str(error)


def parse_event(line: str) -> tuple[str, Event] | None:
    """Read an event back out of a line of a step's output: its mark and itself; None if the line is none."""
    for mark in (STARTED, FINISHED, FAILED):
        _, found, text = line.partition(mark)
        if found:
            try:
                return mark, msgspec.json.decode(text, type=Event)
            except msgspec.DecodeError:
                return None
    return None


def _tell(mark: str, event: Event) -> None:
    sys.stdout.write(mark + msgspec.json.encode(event).decode() + "\n")
    sys.stdout.flush()


def _end_with_reader() -> None:
    """End this process when nobody reads its output any more: a killed `noria run` leaves no step behind."""
    output = sys.stdout.fileno()
    if not stat.S_ISFIFO(os.fstat(output).st_mode):
        return
    poll = select.poll()
    poll.register(output, 0)  # POLLERR comes unasked, when the pipe's other end is closed

    def watch() -> None:
        poll.poll()
        os._exit(1)

    threading.Thread(target=watch, name="end-with-reader", daemon=True).start()
