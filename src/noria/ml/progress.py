"""Progress: what a step tells while it runs, as one JSON line a message on standard output."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

Progress = Callable[[str, float | None], None]  # text, share done in [0, 1]

MARK = "noria-progress "


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message; `done` is the share of the step that is done, None where nobody can say."""

    step: str
    text: str
    done: float | None = None


def reporter(step: str) -> Progress:
    """Make the function through which a step tells how far it is."""

    def report(text: str, done: float | None = None) -> None:
        message = Message(step=step, text=text, done=done)
        sys.stdout.write(MARK + msgspec.json.encode(message).decode() + "\n")
        sys.stdout.flush()

    return report


def parse(line: str) -> Message | None:
    """Read a message back out of a line of a step's output; None if the line is none."""
    _, mark, text = line.partition(MARK)
    if not mark:
        return None
    try:
        return msgspec.json.decode(text, type=Message)
    except msgspec.DecodeError:
        return None


def silent(text: str, done: float | None = None) -> None:
    """Report to nobody, for callers who only want the result."""
