"""Serve: the predictor of a task's champion, in the foreground."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from noria.cli.project import enter_project
from noria.errors import NoriaError, ServingError
from noria.steps.workspace import Workspace
from noria.task import load_task


def serve_champion(task: str, *, host: str, http_port: int, as_json: bool) -> int:
    """Run the predictor that follows the task's ledger until a signal ends it; returns its exit code."""
    load_task(task)
    project = enter_project()
    if Workspace.from_environment().ledger(task).champion() is None:
        raise NoriaError(f"task {task} has no champion yet: `noria run --task {task}` makes one")
    arguments = ["--follow", task, "--name", task, "--host", host, "--http-port", str(http_port)]
    with _start(arguments, project) as predictor:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: predictor.terminate())
        line = predictor.stdout.readline() if predictor.stdout else b""
        if not line:
            raise ServingError(
                f"the predictor ended with code {predictor.wait()} before it was ready: what it wrote above says why"
            )
        sys.stdout.write(line.decode() if as_json else _words(line, task, host))
        sys.stdout.flush()
        return predictor.wait()


def _start(arguments: Sequence[str], project: Path) -> subprocess.Popen[bytes]:
    """Start the predictor; it ends with this process, however that ends."""
    path = os.pathsep.join(filter(None, (str(project), os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        [sys.executable, "-m", "serving", *arguments, "--exit-with-parent"],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def _words(line: bytes, task: str, host: str) -> str:
    """The predictor's ready line, for people."""
    ready = msgspec.json.decode(line)
    shown = f"[{host}]" if ":" in host else host
    return (
        f"Serving {task} on http://{shown}:{ready['port']}: {ready['digest'][:12]}, and each champion after it\n"
        "Ctrl-C ends it; the log follows\n"
    )
