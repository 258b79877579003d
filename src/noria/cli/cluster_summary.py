"""Cluster summary: what a run on a cluster tells at its end, from KFP's logs and, where it can be read, the ledger."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from noria.cli.failing import failure_of
from noria.cli.figures import figures_table
from noria.cli.kubeflow import SHOWN_DIGITS, Connected
from noria.cli.output import console, print_json
from noria.cli.summary import gates_table, spell_command
from noria.cli.watching import Watched
from noria.cli.whose_ledger import is_elsewhere
from noria.errors import LedgerError, NoriaError
from noria.steps.judge import Decision, recall
from noria.steps.workspace import Workspace

STYLES = {"promoted": "bold green", "unchanged": "bold green", "refused": "bold red"}
CONCLUDED = ("promoted", "unchanged", "refused")
UNREAD = "`make connect ENV=dev` opens the way to it"
WIDEST = 72  # of a command, for what it does to stand beside it
PORT = 8080  # of a predictor's container, to which a Service leads that has an address of its own, or none


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A run that was followed to its end; `given` are the words that would ask for the same with another seed."""

    connected: Connected
    watched: Watched
    version: str
    task: str
    seed: int
    given: tuple[str, ...]

    @property
    def page(self) -> str:
        return self.connected.kubeflow.address_of(self.watched.view.id)

    @property
    def short(self) -> str:
        return self.watched.view.id[:SHOWN_DIGITS]


@dataclass(frozen=True, kw_only=True)
class Looked:
    """What the ledger has about the run; without a decision `why` says why there is none to show."""

    decision: Decision | None = None
    report: str = ""
    why: str = ""


def look_up(ended: Ended) -> Looked:
    """Read the decision from the cluster's ledger. The run is over, so a ledger that cannot be read changes nothing."""
    settings, plan = ended.connected.settings, ended.watched.plan
    if ended.watched.outcome not in CONCLUDED:
        return Looked()
    if is_elsewhere(settings):
        return Looked(why=UNREAD)
    if not plan:
        return Looked(why="KFP has no log of the step settle any more, which names the run's plan")
    try:
        workspace = Workspace(settings=settings)
        ledger = workspace.ledger(ended.task)
        judged = [one for one in ledger.entries() if one.kind == "evaluated" and one.plan == plan]
        if not judged:
            raise LedgerError(f"the ledger at {settings.objects} holds no evaluation of plan {plan[:12]}")
        decision = recall(ledger, plan, judged[-1].basis)
        return Looked(decision=decision, report=workspace.store.uri(decision.report))
    except (NoriaError, OSError) as error:
        return Looked(why=failure_of(error).error)


def tell_end(ended: Ended, *, as_json: bool) -> int:
    """Say what the run came to; returns the exit code."""
    looked = look_up(ended)
    if as_json:
        print_json(_describe(ended, looked))
    else:
        _show(console(), ended, looked)
    return ended.watched.exit_code


def _describe(ended: Ended, looked: Looked) -> dict[str, object]:
    decision, watched = looked.decision, ended.watched
    evaluation = decision.evidence.evaluation if decision else None
    return {
        **watched.describe(ended.connected, ended.version),
        "task": ended.task,
        "bundle": decision.verdict.bundle if decision else watched.bundle,
        "scores": evaluation.scores if evaluation else None,
        "verdict": decision.verdict if decision else None,
        "report": looked.report,
        "ledger_error": looked.why,
    }


def _show(screen: Console, ended: Ended, looked: Looked) -> None:
    watched, decision = ended.watched, looked.decision
    screen.print()
    if decision and (evaluation := decision.evidence.evaluation):
        screen.print(figures_table(f"{evaluation.rows:,} held-out rows", evaluation))
        screen.print(gates_table(decision))
        screen.print()
    between = ", because " if watched.outcome == "refused" else ": "
    word = (watched.outcome, STYLES.get(watched.outcome, "bold red"))
    screen.print(Text.assemble("  Verdict  ", word, between, watched.reason), soft_wrap=True)
    lines = {
        "Bundle": decision.verdict.bundle if decision else watched.bundle,
        "Plan": watched.plan,
        "Page": ended.page,
        "Report": looked.report or _report(watched),
        "Ledger": f"not read, so there are no figures here: {looked.why}" if looked.why else "",
        "Log": f"{spell_command()} logs {ended.short}",
    }
    for name, text in lines.items():
        if text:
            screen.print(f"  {name:<8} {text}", soft_wrap=True, markup=False)
    _show_next(screen, next_commands(ended))


def _report(watched: Watched) -> str:
    """Where the page about the verdict is, for those who cannot read the cluster's object store."""
    states = {step.name: step.state for step in watched.view.steps}
    if watched.outcome not in CONCLUDED:
        return ""
    step = "validate" if states.get("judge") == "skipped" else "judge"
    return f"the artifact `report` of the step {step}, on that page"


def next_commands(ended: Ended) -> tuple[tuple[str, str], ...]:
    """What is worth typing now, and what it does; nothing after a run that came to no verdict."""
    watched, noria, task = ended.watched, spell_command(), ended.task
    if watched.outcome not in CONCLUDED:
        return ()
    again = ("submit", "--task", task, *ended.given, "--param", f"seed={ended.seed + 1}", "--wait")
    runs = f"{noria} runs --task {task}", "the runs on the cluster"
    if watched.outcome == "refused":
        return runs, (f"{noria} {shlex.join(again)}", "another candidate")
    space = ended.connected.settings.serving.namespace
    # Not by its Service: one without an address of its own (headless) is forwarded to as if its port were the pod's.
    way = f"kubectl port-forward -n {space} deploy/{task}-predictor {PORT}"
    served = (
        (way, "a way to the model; keep it"),
        (f"curl -s localhost:{PORT}/v2/models/{task}", "its inputs and outputs"),
    )
    challenge = f"{noria} {shlex.join(again)}", "challenge the champion"
    return (*(served if watched.served else ()), runs, challenge)


def _show_next(screen: Console, commands: tuple[tuple[str, str], ...]) -> None:
    if not commands:
        return
    width = max((len(typed) for typed, _ in commands if len(typed) <= WIDEST), default=0)
    screen.print("\nNext")
    for typed, what in commands:
        screen.print(
            Text.assemble("  ", (typed, "bold"), f"{' ' * max(2, width - len(typed) + 2)}{what}"), soft_wrap=True
        )
