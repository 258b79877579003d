"""Serve: the predictor of a task's champion, in the foreground."""

from __future__ import annotations

import os
import sys

from noria.cli.project import enter_project
from noria.errors import NoriaError
from noria.steps.workspace import Workspace


def serve_champion(task: str, *, host: str, http_port: int) -> int:
    """Become the predictor that follows the task's ledger; this process is replaced, so nothing stands between."""
    project = enter_project()
    if Workspace.from_environment().ledger(task).champion() is None:
        raise NoriaError(f"task {task} has no champion yet: `noria run --task {task}` makes one")
    sys.stderr.write(f"Serving the champion of {task} on http://{host}:{http_port} (Ctrl-C ends it)\n")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(project), os.environ.get("PYTHONPATH"))))
    arguments = ["--follow", task, "--name", task, "--host", host, "--http-port", str(http_port)]
    os.execv(sys.executable, [sys.executable, "-m", "serving", *arguments])  # noqa: S606
