"""Run tasks: the steps of a run as Kubeflow Pipelines tells them since it has no ML Metadata any more.

Releases to 2.17 tell a run's nodes as Argo has them, in `run_details`, which `run_view` reads. Those after tell tasks
of their own, one for each step, in `tasks`, to those who ask with `view=FULL`; the client of 2.17 knows neither.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

DRIVER = "DRIVER"  # works out what a step is given, and whether it is in the cache; the step itself is the EXECUTOR
STEP = "RUNTIME"  # what a task of a DAG or of a condition is not


class Pod(msgspec.Struct, frozen=True):
    """A pod that ran for a task; each try has one of its own."""

    name: str = ""
    type: str = ""


class RunTask(msgspec.Struct, frozen=True):
    """A task; `state` is RUNNING, SUCCEEDED, CACHED, SKIPPED or FAILED."""

    name: str = ""
    display_name: str = ""
    type: str = ""
    state: str = ""
    create_time: datetime | None = None
    end_time: datetime | None = None
    pods: tuple[Pod, ...] = ()

    @property
    def pod(self) -> str:
        """The newest that ran the step; the driver's where it came to nothing before, "" where neither is known."""
        drivers = [pod.name for pod in self.pods if pod.type == DRIVER]
        steps = [pod.name for pod in self.pods if pod.type != DRIVER]
        return (steps or (drivers if self.state == "FAILED" else []) or [""])[-1]


def parse_tasks(run: Any) -> tuple[RunTask, ...]:
    """The tasks of a run's JSON, () where it tells none; msgspec.ValidationError for tasks that are none."""
    told = run.get("tasks") if isinstance(run, dict) else None
    return msgspec.convert(told or [], tuple[RunTask, ...])


def find_task(tasks: Iterable[RunTask], step: str) -> RunTask | None:
    """The newest task of that step."""
    found = [one for one in tasks if step in (one.name, one.display_name) and one.type in (STEP, "")]
    return found[-1] if found else None
