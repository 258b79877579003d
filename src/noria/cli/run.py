"""Run: the main job on this machine, drawn while it runs, and told at its end."""

from __future__ import annotations

import fcntl
import hashlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TextIO

import msgspec
from rich.console import Console

from noria.cli import output
from noria.cli.display import Display
from noria.cli.preparing import Prepared, prepare
from noria.cli.summary import Told, show_summary, tell_json
from noria.errors import LedgerError, NoriaError
from noria.ml.progress import parse
from noria.steps.exhibit import summarise
from noria.steps.judge import Decision
from noria.steps.running import FAILED, FINISHED, STARTED, Event, parse_event
from noria.steps.workspace import now
from noria.stores.runs import RunLog, RunRecord

REFUSED = 3


class StepFailedError(NoriaError):
    """A step said why it failed."""

    def __init__(self, event: Event) -> None:
        super().__init__(f"{event.step}: {event.message}")
        self.exit_code = event.exit_code


@dataclass(kw_only=True)
class Listener:
    """Hears every line of a run: draws the steps' progress, keeps their times, writes all of it to the log."""

    display: Display
    log: TextIO
    seconds: dict[str, float] = field(default_factory=dict)

    def hear(self, line: str) -> None:
        """Take one line; raises StepFailedError when a step says that it failed."""
        from pipelines.laptop import cached_step

        self.log.write(line + "\n")
        if message := parse(line):
            self.display.progress(message.step, message.text, message.done)
        elif event := parse_event(line):
            self._note(*event)
        elif name := cached_step(line):
            self.seconds[name] = 0.0
            self.display.end(name, "cached")

    def _note(self, mark: str, event: Event) -> None:
        if mark == STARTED:
            self.display.start(event.step)
        elif mark == FINISHED:
            self.seconds[event.step] = event.seconds
            self.display.end(event.step, "done", event.seconds)
        elif mark == FAILED:
            self.display.end(event.step, "failed", text=event.error)
            self.log.flush()
            raise StepFailedError(event)


def run_pipeline(task: str, environment: str, pairs: Sequence[str], *, as_json: bool) -> int:
    """Run the pipeline and tell what came of it; returns the exit code: 0 promoted or unchanged, 3 refused."""
    console = output.console(sys.stderr if as_json else sys.stdout)  # bound now: kfp.local replaces sys.stdout
    prepared = prepare(task, environment, pairs)
    started, clock = now(), time.monotonic()
    home = prepared.workspace.settings.home
    log = home / "logs" / f"{started:%Y%m%dT%H%M%S}-{prepared.parameters.plan[:8]}.log"
    with one_run(home, task):
        try:
            seconds, decision = _execute(prepared, console, log)
        except (NoriaError, OSError, KeyboardInterrupt) as error:
            # Where the record cannot be kept either, what went wrong first is what has to be told.
            with suppress(NoriaError, OSError):
                _record(prepared, started, time.monotonic() - clock, log, _failure(error))
            raise
        _check_champion(prepared, decision)
        ended = _end(seconds, decision)
        _record(prepared, started, time.monotonic() - clock, log, ended)
        taken = time.monotonic() - clock
        told = Told(prepared=prepared, decision=decision, outcome=ended.outcome, seconds=taken, log=log)
        if as_json:
            sys.stdout.write(tell_json(told) + "\n")
        else:
            show_summary(console, told)
    return 0 if decision.verdict.passed else REFUSED


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What a run came to."""

    outcome: str
    reason: str
    bundle: str = ""
    steps: dict[str, float] = field(default_factory=dict)


def _check_champion(prepared: Prepared, decision: Decision) -> None:
    """What passed has to be champion now; LedgerError where the ledger says otherwise."""
    champion = prepared.workspace.ledger(prepared.task.name).champion()
    found = champion.bundle if champion else "nobody"
    if decision.verdict.passed and found != decision.verdict.bundle:
        raise LedgerError(
            f"bundle {decision.verdict.bundle[:12]} passed, but the ledger's champion is {found[:12]}: another "
            "run or a person was faster; run again"
        )


def _end(seconds: dict[str, float], decision: Decision) -> Ended:
    verdict = decision.verdict
    is_champion = verdict.champion == verdict.bundle or all(taken == 0.0 for taken in seconds.values())
    unchanged = verdict.passed and is_champion
    outcome = "unchanged" if unchanged else "promoted" if verdict.passed else "refused"
    return Ended(outcome=outcome, reason=summarise(verdict), bundle=verdict.bundle, steps=seconds)


def _failure(error: BaseException) -> Ended:
    if isinstance(error, KeyboardInterrupt):
        return Ended(outcome="failed", reason="interrupted")
    refused = isinstance(error, NoriaError) and error.exit_code == REFUSED
    return Ended(outcome="refused" if refused else "failed", reason=str(error))


def _execute(prepared: Prepared, console: Console, log: Path) -> tuple[dict[str, float], Decision]:
    """Run the compiled pipeline; returns the seconds of each step, and the decision."""
    from pipelines.compiling import COMPILED
    from pipelines.graph import read_graph
    from pipelines.laptop import run

    settings = prepared.workspace.settings
    # What is cached are addresses in one object store: another store has its own cache.
    cache = settings.home / "pipeline" / f"cache-{hashlib.sha256(settings.objects.encode()).hexdigest()[:12]}"
    graph = read_graph(COMPILED)
    names = [step.name for step in graph.steps]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", buffering=1) as stream, Display(console, names) as display:
        listener = Listener(display=display, log=stream)
        try:
            found = run(
                COMPILED, prepared.parameters.arguments(), home=settings.home, cache=cache, listen=listener.hear
            )
        except NoriaError as error:
            error.add_note(f"the log is {output.show_path(str(log))}")
            raise
        decision = msgspec.json.decode(found.read_bytes(), type=Decision)
        for name in names:
            if name not in listener.seconds:
                display.end(name, "skipped", text="a gate said no")
    if graph.unheeded:
        console.print(f"[dim]Not enforced on this machine: {'; '.join(_short(text) for text in graph.unheeded)}[/dim]")
    return listener.seconds, decision


def _short(text: str) -> str:
    return text.partition(" (")[0]


@contextmanager
def one_run(home: Path, task: str) -> Iterator[None]:
    """Hold the lock of a task's runs under this home; NoriaError names the process that holds it."""
    path = home / "locks" / f"{task}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise NoriaError(
                f"another run of {task} is under way here ({file.read().strip() or 'just started'}): wait for it, "
                "or give this one a home of its own with NORIA_HOME"
            ) from error
        file.truncate(0)
        file.write(f"process {os.getpid()}, since {now():%H:%M:%S} UTC\n")
        file.flush()
        yield


def _record(prepared: Prepared, started: datetime, seconds: float, log: Path, ended: Ended) -> None:
    RunLog(prepared.workspace.store, prepared.task.name).add(
        RunRecord(
            id=f"{started:%Y%m%dT%H%M%S%f}-{prepared.parameters.plan[:8]}",
            task=prepared.task.name,
            environment=prepared.environment,
            started=started,
            seconds=round(seconds, 3),
            outcome=ended.outcome,
            reason=ended.reason,
            plan=prepared.parameters.plan,
            bundle=ended.bundle,
            steps=ended.steps,
            parameters=prepared.parameters.arguments(),
            log=str(log),
        )
    )
