"""Run view: what KFP tells about a run and its steps, as a person counts them.

Up to KFP 2.17 a task of a pipeline is several nodes of a workflow: `train-driver` works out its inputs, `train` is the
task, and an `executor` below it the pod that runs, skipped where the driver found its result in the cache. What later
releases tell instead is read by `run_tasks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pipelines.run_tasks import RunTask, find_task

WAITING, RUNNING, DONE, CACHED, SKIPPED, FAILED, STOPPED = (
    "waiting", "running", "done", "cached", "skipped", "failed", "stopped",
)  # fmt: skip
STATES = {
    "PENDING": WAITING,
    "RUNNING": RUNNING,
    "PAUSED": RUNNING,
    "SUCCEEDED": DONE,
    "CACHED": CACHED,
    "SKIPPED": SKIPPED,
    "FAILED": FAILED,
    "SYSTEM_ERROR": FAILED,
    "CANCELING": RUNNING,
    "CANCELED": STOPPED,
}
ENDED = frozenset({DONE, CACHED, SKIPPED, FAILED, STOPPED})
EXECUTOR = "executor"
RELEASE = "deploy"  # the step that the gates let run, or skip


@dataclass(frozen=True, kw_only=True)
class StepView:
    """One step; `pod` is the newest that ran for it, "" where none did."""

    name: str
    state: str = WAITING
    seconds: float = 0.0
    pod: str = ""


@dataclass(frozen=True, kw_only=True)
class RunView:
    """One run; `state` is KFP's own word, `error` what KFP says went wrong; a list of runs may leave out `steps`."""

    id: str
    name: str
    state: str
    experiment: str
    created: datetime | None
    finished: datetime | None
    error: str
    steps: tuple[StepView, ...]

    @property
    def ended(self) -> bool:
        return STATES.get(self.state, WAITING) in ENDED

    @property
    def outcome(self) -> str:
        """What it came to by the states of its steps, or how it stands.

        KFP calls a run that the gates refused a success. "passed": the gates let it pass, and it was released, or had
        been before. "ended": KFP calls it a success, and tells no steps.
        """
        if STATES.get(self.state) == DONE:
            deployed = next((step.state for step in self.steps if step.name == RELEASE), "")
            return {"": "ended", SKIPPED: "refused"}.get(deployed, "passed")
        return "cancelled" if self.state == "CANCELED" else self.state.lower()


def read_run(run: Any, names: Sequence[str], tasks: Sequence[RunTask] = ()) -> RunView:
    """Read a V2beta1Run; `names` are the pipeline's steps, in their order. What has not begun is waiting.

    `tasks` are those of a release that tells them, and count more than its nodes.

    TypeError for an answer that is no run.
    """
    if not run.run_id:
        raise TypeError("there is no run in it")
    nodes = list((run.run_details.task_details if run.run_details else None) or [])
    state = str(run.state or "PENDING")
    over = STATES.get(state, WAITING) in ENDED
    return RunView(
        id=run.run_id,
        name=run.display_name,
        state=state,
        experiment=run.experiment_id or "",
        created=_moment(run.created_at),
        finished=_moment(run.finished_at) if over else None,
        error=_message(run.error),
        steps=tuple(
            _read_task(name, tasks, over=over) if tasks else _read_step(name, nodes, over=over) for name in names
        ),
    )


def _read_task(name: str, tasks: Sequence[RunTask], *, over: bool) -> StepView:
    task = find_task(tasks, name)
    if task is None:
        return StepView(name=name, state=SKIPPED if over else WAITING)
    state = STATES.get(task.state, WAITING)
    if over and state in (WAITING, RUNNING):  # a run that is ended takes its tasks with it, and does not say so
        state = STOPPED
    pod = "" if state in (CACHED, SKIPPED) else task.pod
    return StepView(name=name, state=state, seconds=_between(task.create_time, task.end_time), pod=pod)


def _read_step(name: str, nodes: list[Any], *, over: bool) -> StepView:
    own = next((node for node in nodes if node.display_name == name), None)
    if own is None:
        driver = next((node for node in nodes if node.display_name == f"{name}-driver"), None)
        if driver is not None and STATES.get(str(driver.state)) == FAILED:
            return StepView(name=name, state=FAILED, pod=driver.pod_name or "")
        return StepView(name=name, state=SKIPPED if over else WAITING)
    pods = list(_executors(own, nodes))
    state = STATES.get(str(own.state), WAITING)
    if state == DONE and pods and all(STATES.get(str(pod.state)) == SKIPPED for pod in pods):
        return StepView(name=name, state=CACHED)
    newest = max(pods, key=lambda pod: pod.display_name or "", default=own)
    ran = state not in (SKIPPED, CACHED) and STATES.get(str(newest.state)) != SKIPPED
    return StepView(name=name, state=state, seconds=_seconds(own), pod=(newest.pod_name or "") if ran and pods else "")


def _executors(own: Any, nodes: Iterable[Any]) -> Iterator[Any]:
    """The pods below a task: its executor, or each try of it, `executor(0)` and on."""
    wanted = {_tail(child.pod_name or child.task_id or "") for child in own.child_tasks or ()}
    for node in nodes:
        if not (node.display_name or "").startswith(EXECUTOR):
            continue
        if wanted & {_tail(node.pod_name or ""), _tail(node.task_id or "")} - {""}:
            tries = [try_ for try_ in _executors(node, nodes) if try_ is not node]
            yield from tries or [node]


def _tail(name: str) -> str:
    """The number at the end of a node's name: Argo names pod and node differently, but for that."""
    return name.rpartition("-")[2] if name.rpartition("-")[2].isdigit() else name


def _seconds(node: Any) -> float:
    return _between(node.start_time, node.end_time)


def _between(first: datetime | None, last: datetime | None) -> float:
    start, end = _moment(first), _moment(last)
    return round((end - start).total_seconds(), 1) if start and end and end > start else 0.0


def _moment(value: datetime | None) -> datetime | None:
    """An instant in UTC; KFP tells the first second of 1970 where there is none."""
    if value is None or value.year < 1971:
        return None
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def _message(error: Any) -> str:
    return " ".join(str(getattr(error, "message", "") or "").split())
