"""Schedules: runs that Kubeflow Pipelines starts by itself, at times of the clock or so many seconds apart.

A schedule stays with the version of the pipeline that it was made with, and so with the image of that day: KFP changes
none, so whoever has a new image deletes the schedule and adds it again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from noria.errors import UsageError
from pipelines.cluster import PAGE, Kubeflow, Published
from pipelines.cron import parse_cron
from pipelines.kfp_errors import asking

UNITS = {"m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True, kw_only=True)
class When:
    """Either `cron`, in KFP's six fields of which the first is the second, in UTC unless KFP is set up otherwise; or
    `seconds` from the start of one run to that of the next.
    """

    cron: str = ""
    seconds: int = 0

    @property
    def words(self) -> str:
        return f"cron {self.cron}" if self.cron else f"every {self.seconds:,} s"


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A recurring run; `running` is False while it is paused."""

    id: str
    name: str
    when: When
    running: bool
    created: datetime | None
    parameters: Mapping[str, Any]


def parse_when(cron: str, every: str) -> When:
    """Read the one of both that was given: `0 2 * * *` and the like, or 90m, 6h, 1d; UsageError for all else."""
    if bool(cron) == bool(every):
        raise UsageError("say when: either --cron '0 2 * * *', for each night at two, or --every 6h")
    if every:
        found = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", every)
        if not found:
            raise UsageError(f"--every {every!r} is no span: write a number and m, h or d, such as 90m, 6h or 1d")
        return When(seconds=int(found[1]) * UNITS[found[2]])
    return When(cron=parse_cron(cron))


def add_schedule(
    kubeflow: Kubeflow, published: Published, *, experiment: str, name: str, when: When, parameters: Mapping[str, Any]
) -> Schedule:
    """Start a run whenever it is time, one at a time; KFP looks about every half minute whether it is.

    Of the times that were missed, while it was paused, or down, or another run was going on, the last one alone is made
    up for, at once: that is what KFP calls no catch-up.
    """
    where = kubeflow.experiment(experiment)
    with asking(kubeflow.settings, f"schedule {name!r}"):
        made = kubeflow.client.create_recurring_run(
            where, name, cron_expression=when.cron or None, interval_second=when.seconds or None, no_catchup=True,
            max_concurrency=1, params=dict(parameters), pipeline_id=published.pipeline, version_id=published.version,
            service_account=kubeflow.settings.service_account or None,
        )  # fmt: skip
        return _read(made)


def list_schedules(kubeflow: Kubeflow, *, experiment: str = "") -> tuple[Schedule, ...]:
    """All schedules, or those of one experiment, newest first."""
    client = kubeflow.client
    with asking(kubeflow.settings, "list the schedules"):
        where = kubeflow.find_experiment(experiment) if experiment else None
        if experiment and not where:
            return ()
        found = client.list_recurring_runs(page_size=PAGE, sort_by="created_at desc", experiment_id=where)
        return tuple(map(_read, found.recurring_runs or ()))


def pause_schedule(kubeflow: Kubeflow, schedule: str) -> None:
    """Start none of its runs until it is resumed; those under way go on."""
    with asking(kubeflow.settings, f"pause schedule {schedule}"):
        kubeflow.client.disable_recurring_run(schedule)


def resume_schedule(kubeflow: Kubeflow, schedule: str) -> None:
    """Start its runs again; the last one that was missed at once, if any was."""
    with asking(kubeflow.settings, f"resume schedule {schedule}"):
        kubeflow.client.enable_recurring_run(schedule)


def delete_schedule(kubeflow: Kubeflow, schedule: str) -> None:
    """Forget it; its runs remain."""
    with asking(kubeflow.settings, f"delete schedule {schedule}"):
        kubeflow.client.delete_recurring_run(schedule)


def _read(run: Any) -> Schedule:
    trigger = run.trigger
    cron, periodic = (trigger.cron_schedule, trigger.periodic_schedule) if trigger else (None, None)
    when = When(cron=cron.cron or "" if cron else "", seconds=int(periodic.interval_second or 0) if periodic else 0)
    return Schedule(
        id=run.recurring_run_id,
        name=run.display_name,
        when=when,
        running=str(run.status or run.mode).startswith("ENABLE"),
        created=run.created_at,
        parameters=dict((run.runtime_config.parameters if run.runtime_config else None) or {}),
    )
