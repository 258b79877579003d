"""Listening: what a run's lines say of its steps, for the display, for the log, and for what is told at the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TextIO

from noria.cli.display import Display
from noria.errors import EvidenceError, NoriaError
from noria.ml.progress import parse
from noria.steps.running import FAILED, FINISHED, REFUSED, STARTED, Event, parse_event


class StepFailedError(NoriaError):
    """A step said why it failed, or why the run ends with it: `kind` is its error's name, `reason` what it said."""

    def __init__(self, event: Event) -> None:
        super().__init__(f"{event.step}: {event.message}")
        self.kind, self.reason = event.error, event.message
        self.exit_code = event.exit_code


@dataclass(kw_only=True)
class Heard:
    """What is known by now: the seconds of each step that ended, 0 for one from the cache, and the step under way."""

    seconds: dict[str, float] = field(default_factory=dict)
    step: str = ""


@dataclass(frozen=True, kw_only=True)
class Listener:
    """Hears every line of a run: draws the steps' progress, keeps their times, writes all of it to the log."""

    display: Display
    log: TextIO
    heard: Heard

    def hear(self, line: str) -> None:
        """Take one line; raises StepFailedError when a step says that it failed, or refuses."""
        from pipelines.laptop import cached_step

        self.log.write(line + "\n")
        if message := parse(line):
            self.display.progress(message.step, message.text, message.done)
        elif event := parse_event(line):
            self._note(*event)
        elif name := cached_step(line):
            self.heard.seconds[name] = 0.0
            self.display.end(name, "cached")

    def _note(self, mark: str, event: Event) -> None:
        if mark == STARTED:
            self.heard.step = event.step
            self.display.start(event.step)
        elif mark == FINISHED:
            self.heard.step = ""
            self.heard.seconds[event.step] = event.seconds
            self.display.end(event.step, "done", event.seconds)
        elif mark in (FAILED, REFUSED):
            refused = event.exit_code == EvidenceError.exit_code
            self.display.end(
                event.step, "refused" if refused else "failed", text=event.message if refused else event.error
            )
            self.log.flush()
            raise StepFailedError(event)
