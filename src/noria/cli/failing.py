"""Failing: what a command says, and ends with, when it cannot do what it was asked."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from noria.cli.output import print_json
from noria.errors import NoriaError

INTERRUPTED = 130  # 128 and the number of SIGINT, as shells have it


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What a program is told, as one JSON object; `kind` is the error's name in the tree of noria.errors."""

    error: str
    kind: str
    exit_code: int


class FailedError(NoriaError):
    """Carries a failure of which more is known than an error's text."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.error)
        self.failure = failure
        self.exit_code = failure.exit_code


def failure_of(error: BaseException) -> Failure:
    """Put an error into words; one of the system's own names no next step, so it is given here."""
    if isinstance(error, FailedError):
        return error.failure
    if isinstance(error, KeyboardInterrupt):
        return Failure(error="interrupted", kind="KeyboardInterrupt", exit_code=INTERRUPTED)
    kind = type(error).__name__
    if isinstance(error, NoriaError):
        return Failure(error=str(error), kind=kind, exit_code=error.exit_code)
    text = f"the system refused ({error}): look at the path, its permissions and the free space"
    return Failure(error=text, kind=kind, exit_code=1)


def tell_failure(error: BaseException, *, as_json: bool) -> int:
    """Say on standard error what went wrong, and on standard output as JSON where that was asked for: the exit code."""
    failure = failure_of(error)
    for line in (failure.error, *getattr(error, "__notes__", ())):
        sys.stderr.write(f"noria: {line}\n")
    if as_json:
        print_json(failure)
    return failure.exit_code
