"""Running: a step's process, from its first line to its last: what it tells, and when it must end."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from noria.errors import NoriaError
from noria.ml.progress import Progress, reporter
from noria.steps.ending import end_with_reader
from noria.steps.workspace import Workspace

STARTED = "noria-started "
FINISHED = "noria-finished "
FAILED = "noria-failed "
REFUSED = "noria-refused "
LEAST_SECONDS = 0.001  # that a step took which ran; 0 stands for one from the cache


@dataclass(frozen=True, kw_only=True)
class Event:
    """A line by which a step says that it started, finished or failed, or that the run is refused after it."""

    step: str
    seconds: float = 0.0
    error: str = ""
    message: str = ""
    exit_code: int = 0


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a step's body works with."""

    step: str
    workspace: Workspace
    progress: Progress

    def refuse(self, reason: NoriaError | None) -> None:
        """Say that this step has done its work and that the run goes no further; nothing without a reason."""
        if reason is not None:
            _tell(REFUSED, _failure(self.step, reason))


@contextmanager
def running(step: str) -> Iterator[Run]:
    """Run a step's body: announce it, and tell its failure in one line before the traceback goes to the log."""
    end_with_reader()
    start = time.monotonic()
    _tell(STARTED, Event(step=step))
    try:
        yield Run(step=step, workspace=Workspace.from_environment(), progress=reporter(step))
    except Exception as error:  # the outermost door of a step's process: it must not end without a word
        traceback.print_exc(file=sys.stdout)  # before the line that ends the listening
        _tell(FAILED, _failure(step, error))
        raise
    _tell(FINISHED, Event(step=step, seconds=max(LEAST_SECONDS, round(time.monotonic() - start, 3))))


def _failure(step: str, error: Exception) -> Event:
    code = error.exit_code if isinstance(error, NoriaError) else 1
    return Event(step=step, error=type(error).__name__, message=_explain(error), exit_code=code)


def _explain(error: Exception) -> str:
    """What the error says; one of the system's own names no next step, so it is given here."""
    if isinstance(error, OSError):
        return f"the system refused ({error}): look at the path, its permissions and the free space"
    return str(error)


def parse_event(line: str) -> tuple[str, Event] | None:
    """Read an event back out of a line of a step's output: its mark and itself; None if the line is none."""
    for mark in (STARTED, FINISHED, FAILED, REFUSED):
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
