"""Schedule: runs that the cluster starts by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from noria.cli.kubeflow import SHOWN_DIGITS, WHOLE_ID, connect
from noria.cli.output import console, make_table, print_json, show_time
from noria.cli.submit import ask_for, publish
from noria.errors import UsageError
from noria.steps.settle import SCHEDULED

if TYPE_CHECKING:
    from pipelines.cluster import Kubeflow
    from pipelines.overlay import Choices
    from pipelines.schedules import Schedule


def add_schedule(
    task: str, environment: str, pairs: Sequence[str], choices: Choices, *,
    cron: str, every: str, days: int, name: str, as_json: bool,
) -> None:  # fmt: skip
    """Start a run whenever it is time; with `days`, on so many whole days before that time."""
    from pipelines import schedules
    from pipelines.parameters import check_image

    check_image(environment, choices.image)
    connected = connect()
    when = schedules.parse_when(cron, every)
    request = ask_for(task, environment, pairs, days=days, gpus=choices.gpus, at=SCHEDULED)
    published = publish(connected, choices)
    made = schedules.add_schedule(
        connected.kubeflow, published, experiment=request.task, name=name or request.name, when=when,
        parameters=request.arguments,
    )  # fmt: skip
    if as_json:
        print_json({**asdict(made), "version": published.name})
        return
    screen = console()
    screen.print(f"scheduled {made.name} ({made.id[:SHOWN_DIGITS]}), {made.when.words}", soft_wrap=True, markup=False)
    screen.print("One run at a time; of what is missed, the last is made up for. `noria schedule` lists them")


def list_schedules(task: str, *, as_json: bool) -> None:
    """List the schedules on the cluster."""
    kubeflow = connect().kubeflow
    from pipelines import schedules

    found = schedules.list_schedules(kubeflow, experiment=task)
    if as_json:
        print_json([asdict(one) for one in found])
        return
    if not found:
        console().print(f"Nothing is scheduled at {kubeflow.settings.host}: `noria schedule add --every 1d` does")
        return
    table = make_table(f"Schedules at {kubeflow.settings.host}", ["id", "", "when", "since", "name"])
    for one in found:
        since = show_time(one.created) if one.created else ""
        table.add_row(one.id[:SHOWN_DIGITS], "on" if one.running else "paused", one.when.words, since, one.name)
    console().print(table)


def change_schedule(start: str, change: str, *, as_json: bool) -> None:
    """Pause, resume or delete a schedule."""
    kubeflow = connect().kubeflow
    from pipelines import schedules

    one = _find(kubeflow, start)
    changes = {
        "paused": schedules.pause_schedule,
        "resumed": schedules.resume_schedule,
        "deleted": schedules.delete_schedule,
    }
    changes[change](kubeflow, one.id)
    if as_json:
        print_json({"schedule": one.id, "name": one.name, "change": change})
    else:
        console().print(f"{change} {one.name} ({one.id})", soft_wrap=True, markup=False)


def _find(kubeflow: Kubeflow, start: str) -> Schedule:
    from pipelines.schedules import list_schedules as all_of

    found = [one for one in all_of(kubeflow) if start and one.id.startswith(start)]
    if len(found) != 1:
        more = "is none" if len(start) == WHOLE_ID else f"fits {len(found)} of them"
        raise UsageError(f"{start!r} {more}: `noria schedule` lists the schedules; give the first digits of one's id")
    return found[0]
