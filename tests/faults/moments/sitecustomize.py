"""Moments: stops a run at a chosen moment of a chosen step, once. Python imports this where it is on PYTHONPATH.

FAULT_STEP    the step
FAULT_MOMENT  "line:TEXT": as the step prints a line with the text; "publish:N": when it has published N files
FAULT_KIND    "step" kills the step's process, "run" kills `noria run`, "both" both, "hold" waits until the mark is gone
FAULT_MARK    a file that is made at the moment; where it is there already, nothing happens
"""

import os
import signal
import sys
import time
from pathlib import Path

PUBLISHING = ("link", "rename", "replace")


class Moment:
    """Standard output of a process, watched for the lines of the step; from its first line on, files are counted."""

    def __init__(self, stream, step, moment, kind, mark):
        self._stream, self._step, self._kind, self._mark = stream, step, kind, mark
        self._what, _, self._which = moment.partition(":")
        self._started, self._published = False, 0

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def write(self, text):
        written = self._stream.write(text)
        self._stream.flush()
        if text.startswith("noria-started ") and f'"step":"{self._step}"' in text:
            self._started = True
        if self._started and self._what == "line" and self._which in text:
            self._strike()
        return written

    def count(self, function):
        def counted(*arguments, **named):
            done = function(*arguments, **named)
            self._published += self._started
            if self._started and self._what == "publish" and self._published == int(self._which):
                self._strike()
            return done

        return counted

    def _strike(self):
        try:
            self._mark.open("x").close()
        except FileExistsError:
            return
        if self._kind == "hold":
            while self._mark.exists():
                time.sleep(0.01)
        elif self._kind == "run":
            os.kill(_run_above(), signal.SIGKILL)
        elif self._kind == "both":
            os.kill(_run_above(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            os.kill(os.getpid(), signal.SIGKILL)


def _run_above():
    """The process above this one that is `noria run`."""
    process = os.getppid()
    while b"\0run\0" not in Path(f"/proc/{process}/cmdline").read_bytes():
        process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
        assert process > 1
    return process


if "FAULT_STEP" in os.environ:
    sys.stdout = Moment(
        sys.stdout,
        *(os.environ[f"FAULT_{name}"] for name in ("STEP", "MOMENT", "KIND")),
        Path(os.environ["FAULT_MARK"]),
    )
    for name in PUBLISHING:
        setattr(os, name, sys.stdout.count(getattr(os, name)))
