"""Run: the main job on this machine, drawn while it runs, and told at its end."""

from __future__ import annotations

import fcntl
import hashlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from noria.cli.display import Display
from noria.cli.ending import REFUSED, Ended, check_champion, end, fail, record, refuse
from noria.cli.failing import FailedError
from noria.cli.listening import Heard, Listener, StepFailedError
from noria.cli.output import console, print_json, show_path
from noria.cli.preparing import Prepared, prepare
from noria.cli.summary import Told, ask_to_close, describe, show_summary
from noria.errors import NoriaError, TakenBackError
from noria.settings import handed_on
from noria.steps.judge import Decision, recall
from noria.steps.workspace import now

if TYPE_CHECKING:
    from pipelines.containers import Containers


def run_pipeline(task: str, environment: str, pairs: Sequence[str], *, as_of: str = "", as_json: bool) -> int:
    """Run the pipeline and tell what came of it; returns the exit code: 0 promoted or unchanged, 3 refused."""
    screen = console(sys.stderr if as_json else sys.stdout)  # bound now: kfp.local replaces sys.stdout
    prepared = prepare(task, environment, pairs, as_of=as_of)
    started, clock = now(), time.monotonic()
    home = prepared.workspace.settings.home
    log = home / "logs" / f"{started:%Y%m%dT%H%M%S}-{prepared.parameters.plan[:8]}.log"
    with one_run(home, task):
        heard = Heard()
        try:
            decision, ended = _conclude(prepared, screen, log, heard)
        except (NoriaError, OSError, KeyboardInterrupt) as error:
            failure = fail(error, heard, task, log)
            failed = Ended(outcome=failure.outcome, reason=failure.error, steps=heard.seconds)
            # Where the record cannot be kept either, what went wrong first is what has to be told.
            with suppress(NoriaError, OSError):
                record(prepared, started, time.monotonic() - clock, log, failed)
            told_of = FailedError(failure)
            told_of.add_note(f"the log is {show_path(str(log))}")
            raise told_of from error
        taken = time.monotonic() - clock
        record(prepared, started, taken, log, ended)
        given = words_of(environment, pairs, as_of)
        told = Told(prepared=prepared, decision=decision, ended=ended, seconds=taken, log=log, given=given)
        answer = ask_to_close(prepared)
        if as_json:
            print_json(describe(told, answer))
        else:
            show_summary(screen, told, answer)
    return REFUSED if ended.outcome == "refused" else 0


def words_of(environment: str, pairs: Sequence[str], as_of: str) -> tuple[str, ...]:
    """What was asked of this run besides its task, as it is typed; the seed is left to the next one."""
    pairs = [pair for pair in pairs if not pair.startswith("seed=")]
    moment = ("--as-of", as_of) if as_of else ()
    return ("--env", environment, *moment, *(word for pair in pairs for word in ("--param", pair)))


def _conclude(prepared: Prepared, screen: Console, log: Path, heard: Heard) -> tuple[Decision, Ended]:
    """Run the pipeline to its end; a person's word against the candidate ends it as a gate's does."""
    ledger = prepared.workspace.ledger(prepared.task.name)
    before = ledger.basis()
    try:
        decision = _execute(prepared, screen, log, heard)
    except StepFailedError as error:
        if error.kind != TakenBackError.__name__:
            raise
        decision = _recall(prepared)
        return decision, refuse(heard.seconds, decision, error.reason)
    check_champion(prepared, decision)
    return decision, end(heard.seconds, decision, changed=ledger.basis() != before)


def _recall(prepared: Prepared) -> Decision:
    ledger = prepared.workspace.ledger(prepared.task.name)
    return recall(ledger, prepared.parameters.plan, prepared.parameters.basis)


def _execute(prepared: Prepared, screen: Console, log: Path, heard: Heard) -> Decision:
    """Run the compiled pipeline; returns the decision."""
    from pipelines.compiling import COMPILED
    from pipelines.graph import read_graph
    from pipelines.laptop import run

    settings = prepared.workspace.settings
    graph = read_graph(COMPILED)
    names = [step.name for step in graph.steps]
    containers = _containers(prepared, graph.steps[0].image)
    # What is cached are addresses in one object store: another store has its own cache, and so has another runner.
    place = settings.objects + (f" in {containers.image}" if containers else "")
    cache = settings.home / "pipeline" / f"cache-{hashlib.sha256(place.encode()).hexdigest()[:12]}"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", buffering=1) as stream, Display(screen, names) as display:
        listener = Listener(display=display, log=stream, heard=heard)
        run(
            COMPILED,
            prepared.parameters.arguments(),
            home=settings.home,
            cache=cache,
            store=prepared.workspace.store,
            listen=listener.hear,
            containers=containers,
        )
        decision = _recall(prepared)
        for name in names:
            if name not in heard.seconds:
                display.end(name, "skipped", text="a gate said no")
    if graph.unheeded:
        screen.print(f"[dim]Not enforced on this machine: {'; '.join(_short(text) for text in graph.unheeded)}[/dim]")
    return decision


def _containers(prepared: Prepared, image: str) -> Containers | None:
    """What the steps' containers are given; None where steps are processes of this machine."""
    settings, task = prepared.workspace.settings, prepared.task
    if settings.runner != "docker":
        return None
    from pipelines.containers import check_image, containers_for

    found = containers_for(settings, image, task.name, prepared.workspace.source_of(task), handed_on())
    check_image(found, task, prepared.project)
    return found


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
