"""Serve: the predictor of a task's champion, in the foreground."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import msgspec

from noria.cli.naming import find_task
from noria.cli.project import enter_project
from noria.cli.whose_ledger import beginning
from noria.errors import NoriaError, ServingError, UsageError
from noria.settings import Settings
from noria.steps.workspace import Workspace

OWN = {"--follow": "--task", "--host": "--host", "--http-port": "--http-port"}  # the predictor's, and ours for them
USAGE = 2


def serve_champion(task: str, *, host: str, http_port: int, more: Sequence[str] = (), as_json: bool) -> int:
    """Run the predictor that follows the task's ledger until a signal ends it; returns its exit code.

    `more` are words for the predictor. UsageError where it does not take them, with what it says.
    """
    find_task(task)
    check_words(more)
    project = enter_project()
    workspace = Workspace.from_environment()
    if workspace.ledger(task).champion() is None:
        raise NoriaError(f"task {task} has no champion yet: {beginning(workspace.settings, task)}")
    arguments = [*arguments_for(task, workspace.settings, host=host, http_port=http_port), *more]
    with _start(arguments, project) as predictor, _Echo(predictor) as echo:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: predictor.terminate())
        line = predictor.stdout.readline() if predictor.stdout else b""
        if not line:
            raise _ended(predictor.wait(), echo.last_words())
        if predictor.stdout and not line.startswith(b"{"):  # what was asked for is the predictor's help
            sys.stdout.write((line + predictor.stdout.read()).decode())
            return predictor.wait()
        sys.stdout.write(line.decode() if as_json else _words(line, task, host))
        sys.stdout.flush()
        return predictor.wait()


def arguments_for(task: str, settings: Settings, *, host: str, http_port: int) -> list[str]:
    """The predictor's command line: which ledger it follows, where it listens, and what it completes requests from."""
    arguments = ["--follow", task, "--name", task, "--host", host, "--http-port", str(http_port)]
    arguments += ["--online", settings.online]
    if settings.online_password_file is not None:
        arguments += ["--online-password-file", str(settings.online_password_file)]
    return arguments


def check_words(words: Sequence[str]) -> None:
    """Refuse what has an option of the command's own; of all other options the predictor takes the last one given."""
    for word in words:
        name = word.partition("=")[0]
        # The predictor takes an option by its first letters, too.
        known = next((own for own in OWN if len(name) > len("--") and own.startswith(name)), None)
        if known is not None:
            raise UsageError(f"found {name} after --: expected {OWN[known]} before it, which noria serve hands on")


def _ended(code: int, last_words: str) -> NoriaError:
    """Why there is no ready line."""
    if code == USAGE:
        return UsageError(f"the predictor refuses its options: {last_words}")
    return ServingError(f"the predictor ended with code {code} before it was ready: {last_words}")


def _start(arguments: Sequence[str], project: Path) -> subprocess.Popen[bytes]:
    """Start the predictor; it ends with this process, however that ends."""
    path = os.pathsep.join(filter(None, (str(project), os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        [sys.executable, "-m", "serving", *arguments, "--exit-with-parent"],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


class _Echo:
    """Passes on what the predictor writes on standard error, and keeps its last line, which says why it ended."""

    def __init__(self, predictor: subprocess.Popen[bytes]) -> None:
        self._predictor = predictor
        self._last = b""
        self._thread = threading.Thread(target=self._pass_on, name="echo", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._predictor.terminate()  # does nothing where it has ended; else its output would have no end
        self._predictor.wait()
        self._thread.join()

    def last_words(self) -> str:
        """The reason that the predictor gave before it ended."""
        self._thread.join()
        last = self._last.decode(errors="replace").strip()
        said = last.removeprefix("serving: ").removeprefix("python -m serving: error: ")
        if said != last:
            return said
        code = self._predictor.poll() or 0
        how = f"signal {-code} ended it" if code < 0 else "it did not say why"
        return f"{how}; its log, above, shows what came before"

    def _pass_on(self) -> None:
        for line in self._predictor.stderr or ():
            self._last = line if line.strip() else self._last
            # Where nobody listens any more the predictor must still not wait for a reader.
            with suppress(OSError, ValueError):
                sys.stderr.buffer.write(line)
                sys.stderr.buffer.flush()


def _words(line: bytes, task: str, host: str) -> str:
    """The predictor's ready line, for people."""
    ready = msgspec.json.decode(line)
    shown = f"[{host}]" if ":" in host else host
    stands_in = ", a former champion that stands in for the present one" if ready.get("fallback") else ""
    return (
        f"Serving {task} on http://{shown}:{ready['port']}: {ready['digest'][:12]}{stands_in}, and each champion after "
        "it\n"
        "Ctrl-C ends it; the log follows\n"
    )
