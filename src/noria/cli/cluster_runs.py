"""Cluster runs: list them, read what their steps wrote, and end one."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from noria.cli.kubeflow import SHOWN_DIGITS, connect, find_run
from noria.cli.output import console, make_table, print_json
from noria.errors import UsageError
from noria.ml.progress import parse
from noria.steps.running import parse_event

if TYPE_CHECKING:
    from pipelines.cluster import Kubeflow
    from pipelines.run_view import RunView, StepView


UNTOLD = "ended: KFP's list does not tell what the gates said; `noria logs RUN --step judge` does"


def list_runs(task: str, *, count: int, as_json: bool) -> None:
    """List the newest runs on the cluster, newest first; all tasks', unless one is named."""
    kubeflow = connect().kubeflow
    runs = kubeflow.runs(experiment=task, count=count, steps=True)
    if as_json:
        told = [{**asdict(run), "outcome": run.outcome, "page": kubeflow.address_of(run.id)} for run in runs]
        print_json([{name: value for name, value in run.items() if name != "steps"} for run in told])
        return
    if not runs:
        console().print(f"No run{f' of {task}' if task else ''} at {kubeflow.settings.host}: `noria submit` starts one")
        return
    table = make_table(
        f"Runs at {kubeflow.settings.host}", ["id", "outcome", "started, UTC", "took", "name"], padding=1
    )
    for run in runs:
        started = f"{run.created:%Y-%m-%d %H:%M}" if run.created else ""
        table.add_row(run.id[:SHOWN_DIGITS], run.outcome, started, _took(run), run.name)
    console().print(table)
    if any(run.outcome == "ended" for run in runs):
        console().print(UNTOLD, markup=False)


def show_logs(start: str, *, step: str, as_json: bool) -> None:
    """Print what the steps of a run wrote, in the pipeline's order; a step from the cache wrote nothing."""
    connected = connect()
    if step and step not in connected.steps:
        raise UsageError(f"no step {step!r}: there are {', '.join(connected.steps)}")
    run = find_run(connected.kubeflow, start)
    shown = [one for one in run.steps if step == one.name or (not step and one.pod)]
    texts = {one.name: _log(connected.kubeflow, run, one) for one in shown}
    if as_json:
        print_json({"run": run.id, "logs": texts})
        return
    for one in shown:
        lines = map(_readable, texts[one.name].rstrip().splitlines())
        sys.stdout.write("\n".join((f"== {one.name} ({one.state})", *lines, "")))
    if not shown:
        console().print("No step of it has written anything yet")


def cancel_run(start: str, *, as_json: bool) -> None:
    """End a run that is under way."""
    kubeflow = connect().kubeflow
    run = find_run(kubeflow, start)
    if run.ended:
        raise UsageError(f"run {run.id[:SHOWN_DIGITS]} ({run.name}) ended already, {run.state.lower()}")
    kubeflow.cancel(run.id)
    if as_json:
        print_json({"run": run.id, "name": run.name, "cancelled": True})
    else:
        console().print(f"cancelled {run.name} ({run.id}): its pods end", soft_wrap=True, markup=False)


def _log(kubeflow: Kubeflow, run: RunView, step: StepView) -> str:
    if not step.pod:
        return f"no log: it is {step.state}"
    text = kubeflow.log(run.id, step.pod)
    other = f"kubectl -n {kubeflow.settings.namespace} logs {step.pod} -c main"
    return f"KFP has no log of it; as long as its pod is there, `{other}` has one" if text is None else text


def _readable(line: str) -> str:
    """A line as people read it: what a step tells in JSON, as words."""
    if message := parse(line):
        return f"{message.text}{f' ({message.done:.0%})' if message.done is not None else ''}"
    if found := parse_event(line):
        mark, event = found
        said = f": {event.message}" if event.message else f" in {event.seconds:.1f} s" if event.seconds else ""
        return f"{event.step} {mark.strip().removeprefix('noria-')}{said}"
    return line


def _took(run: RunView) -> str:
    if not (run.created and run.finished):
        return ""
    return f"{(run.finished - run.created).total_seconds():.0f} s"
