"""Status: who is champion, how good it is, and what the last runs came to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from noria.cli.figures import headline
from noria.cli.live import look_at_live, show_live
from noria.cli.naming import find_task
from noria.cli.output import console, make_table, print_json, show_time
from noria.cli.project import open_workspace
from noria.cli.whose_ledger import beginning, excuse_missing_bucket, warn_if_elsewhere
from noria.errors import BucketMissingError
from noria.ml.scores import Evaluation, Interval
from noria.steps.exhibit import read_exhibit
from noria.steps.workspace import Workspace
from noria.stores.ledger_entry import Entry
from noria.stores.releases import Ledger
from noria.stores.runs import RunLog, RunRecord
from noria.stores.standing import Champion

RUNS = 5


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What the object store knows of a task."""

    champion: Champion | None = None
    evaluation: Evaluation | None = None
    runs: Sequence[RunRecord] = ()
    verdicts: Sequence[Entry] = ()


def show_status(task: str, *, as_json: bool) -> None:
    """Show the champion with its figures, whether it is what serves, the last runs and the last verdicts."""
    find_task(task)
    workspace = open_workspace()
    warn_if_elsewhere(workspace.settings)
    standing = _read(workspace, task)
    champion = standing.champion
    live = look_at_live(workspace.settings, task, champion.bundle if champion else "")
    if as_json:
        known = {"digest": champion.bundle, "since": champion.since} if champion else None
        print_json(
            {
                "task": task,
                "champion": {**known, "metrics": _metrics(standing.evaluation)} if known else None,
                **({"live": live} if live else {}),
                "runs": standing.runs,
                "verdicts": standing.verdicts,
            }
        )
        return
    if champion:
        _show_champion(task, champion, standing.evaluation)
    else:
        console().print(
            f"{task} has no champion yet: {beginning(workspace.settings, task)}", soft_wrap=True, markup=False
        )
    show_live(live)
    _show_runs(standing.runs)
    _show_verdicts(standing.verdicts)
    if workspace.settings.kfp.host:
        console().print(f"\nRuns on the cluster: `noria runs --task {task}`", markup=False)


def _read(workspace: Workspace, task: str) -> Standing:
    """Read it; nothing is known where a fresh cluster has no bucket yet."""
    ledger = workspace.ledger(task)
    try:
        champion = ledger.champion()
        return Standing(
            champion=champion,
            evaluation=_evaluation(ledger, champion.bundle) if champion else None,
            runs=RunLog(workspace.store, task).last(RUNS),
            verdicts=[entry for entry in ledger.entries() if not entry.changes_champion][: -RUNS - 1 : -1],
        )
    except BucketMissingError as error:
        excuse_missing_bucket(workspace, task, error)
        return Standing()


def _show_champion(task: str, champion: Champion, evaluation: Evaluation | None) -> None:
    screen = console()
    screen.print(f"[bold]{task}[/bold]: champion since {show_time(champion.since)}")
    screen.print(f"  [cyan]{champion.bundle}[/cyan]", soft_wrap=True)
    if evaluation:
        screen.print(f"  {headline(evaluation)}", soft_wrap=True, markup=False)


def _show_runs(runs: Sequence[RunRecord]) -> None:
    if not runs:
        console().print("\nNo run yet")
        return
    table = make_table("\nLast runs", ["started", "outcome", "seconds", "bundle", "reason"])
    for run in runs:
        table.add_row(show_time(run.started), run.outcome, f"{run.seconds:.1f}", run.bundle[:12], run.reason)
    console().print(table)


def _show_verdicts(verdicts: Sequence[Entry]) -> None:
    if not verdicts:
        return
    table = make_table("\nLast verdicts", ["time", "bundle", "against", "verdict"])
    for entry in verdicts:
        refused = "did not come up" if entry.kind == "put-back" else "refused"
        word = "passed" if entry.passed else f"{refused}: {entry.reason}"
        table.add_row(show_time(entry.time), entry.bundle[:12], entry.champion[:12] or "nobody", word)
    console().print(table)


def _evaluation(ledger: Ledger, bundle: str) -> Evaluation | None:
    """How the champion was measured, from the evidence that it was promoted on."""
    promoted = [entry for entry in ledger.entries() if entry.kind == "promoted" and entry.bundle == bundle]
    return read_exhibit(ledger, promoted[-1].evidence).evidence.evaluation


def _metrics(evaluation: Evaluation | None) -> dict[str, Interval]:
    """Its figures for a program, by names that stay."""
    if evaluation is None:
        return {}
    scores = evaluation.scores["candidate"]
    auc = {"auc": scores.ranking.auc} if scores.ranking and scores.ranking.auc else {}
    return {"accuracy": scores.accuracy, "cost": scores.cost, "log_loss": scores.log_loss, "ece": scores.ece, **auc}
