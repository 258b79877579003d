"""Summary: what a run tells at its end."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from noria.cli.asking import Asked, ask_champion
from noria.cli.ending import Ended
from noria.cli.failing import failure_of
from noria.cli.figures import figures_table
from noria.cli.output import make_table, show_path
from noria.cli.preparing import Prepared
from noria.errors import EvidenceError, NoriaError
from noria.ml.scores import Evaluation
from noria.settings import handed_on
from noria.steps.judge import Decision


@dataclass(frozen=True, kw_only=True)
class Told:
    """What there is to tell."""

    prepared: Prepared
    decision: Decision
    ended: Ended
    seconds: float
    log: Path
    given: tuple[str, ...] = ()  # the words of the command that make this run differ from one with --task alone

    @property
    def evaluation(self) -> Evaluation:
        if self.decision.evidence.evaluation is None:
            raise EvidenceError("the decision holds no evaluation: judge the candidate again")
        return self.decision.evidence.evaluation

    @property
    def report(self) -> str:
        return self.prepared.workspace.store.uri(self.decision.report)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the champion said when it was asked; without one, `error` says why, or there is no champion."""

    asked: Asked | None = None
    error: str = ""


def ask_to_close(prepared: Prepared) -> Answer:
    """Ask the champion for its last row. The run is over and recorded, so a question that fails changes nothing."""
    try:
        return Answer(asked=ask_champion(prepared.workspace, prepared.task.name, prepared.project, place=-1))
    except (NoriaError, OSError) as error:
        return Answer(error=failure_of(error).error)


def show_summary(console: Console, told: Told, answer: Answer) -> None:
    """Show figures, gates, verdict, an answered prediction, and where to go from here."""
    console.print()
    console.print(figures_table(f"{told.evaluation.rows:,} held-out rows", told.evaluation))
    console.print(gates_table(told.decision))
    console.print(_verdict(told))
    if answer.asked:
        console.print(_prediction(answer.asked), soft_wrap=True)
    elif answer.error:
        console.print(Text.assemble("  Answer   ", ("none", "bold yellow"), f": {answer.error}"), soft_wrap=True)
    console.print(f"  Report   {show_path(told.report)}", soft_wrap=True, markup=False)
    console.print(f"  Log      {show_path(str(told.log))}", soft_wrap=True, markup=False)
    console.print("\nNext")
    for words, what in next_commands(told):
        typed = f"{spell_settings(handed_on())}{spell_command()} {shlex.join(words)}"
        console.print(Text.assemble("  ", (typed, "bold"), f"{' ' * max(2, 54 - len(typed))}{what}"), soft_wrap=True)


def spell_command() -> str:
    """What to type for `noria` here: its path, where the shell would not find it."""
    if shutil.which("noria"):
        return "noria"
    own = Path(sys.executable).with_name("noria")
    return show_path(str(own)) if own.exists() else "noria"


def spell_settings(variables: Mapping[str, str]) -> str:
    """Noria's settings among these, to stand in front of a command: a run's may have been given for it alone."""
    # An address with an @ may hold a password, which is not to be shown.
    told = {name: value for name, value in variables.items() if name.startswith("NORIA_") and "@" not in value}
    return "".join(f"{name}={shlex.quote(value)} " for name, value in sorted(told.items()))


def next_commands(told: Told) -> tuple[tuple[tuple[str, ...], str], ...]:
    """The three commands worth knowing now, as the words after `noria`, and what each does."""
    task = ("--task", told.prepared.task.name)
    status = ("status", *task), "the champion, the last runs and verdicts"
    # The same run but for its seed: a run that differs in nothing finds its own results again.
    again = ("run", *task, *told.given, "--param", f"seed={told.prepared.parameters.seed + 1}")
    if told.ended.outcome == "refused":
        return status, (("releases", *task), "the ledger, with the reasons"), (again, "another candidate")
    serve = ("serve", *task), "serve the champion, and follow the ledger"
    return serve, status, (again, "challenge the champion")


def describe(told: Told, answer: Answer) -> dict[str, object]:
    """The same for a program."""
    evaluation = told.evaluation
    return {
        "task": told.prepared.task.name,
        "outcome": told.ended.outcome,
        "reason": told.ended.reason,
        "bundle": told.decision.verdict.bundle,
        "dataset": told.decision.verdict.dataset,
        "compared_with": evaluation.champion,
        "seconds": round(told.seconds, 3),
        "scores": evaluation.scores,
        "verdict": told.decision.verdict,
        "prediction": answer.asked,
        "prediction_error": answer.error,
        "report": told.report,
        "log": str(told.log),
    }


def gates_table(decision: Decision) -> Table:
    """Every gate with its figure and its limit, as a table of 100 columns."""
    table = make_table("\nGates", ["", "gate", "figure", "limit"], padding=1)
    for column in table.columns[:3]:
        column.no_wrap = True
    for gate in decision.verdict.gates:
        mark = Text("✓", "green") if gate.passed else Text("✗", "bold red")
        table.add_row(mark, gate.name, gate.figure, gate.limit, style="" if gate.passed else "red")
    return table


def _verdict(told: Told) -> Text:
    digest = told.decision.verdict.bundle
    words = {
        "promoted": ("promoted", "bold green", f": {told.ended.reason}"),
        "unchanged": ("nothing changed", "bold green", ": it is the champion already, and the verdict stands"),
        "refused": ("refused", "bold red", f", because {told.ended.reason}"),
    }
    word, style, reason = words[told.ended.outcome]
    return Text.assemble(
        "\n  Bundle   ", (digest, "cyan"), "\n  Verdict  ", (word, style), reason, f"  ({told.seconds:.1f} s)"
    )


def _prediction(asked: Asked) -> Text:
    known = f"{asked.threshold}; truth: {asked.truth}" if asked.threshold else f"truth: {asked.truth}"
    return Text.assemble(
        f"  Answer   row {asked.row}: ",
        (asked.decision, "bold"),
        f", probability {asked.probability:.3f} ({known}), served in {asked.milliseconds:.1f} ms",
    )
