"""Preparing: from the words of a command to the parameters of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from noria.cli.naming import find_task
from noria.cli.project import enter_project
from noria.code import code_digest
from noria.errors import UsageError
from noria.steps.exhibit import champion_of
from noria.steps.workspace import Workspace
from noria.task import Task

if TYPE_CHECKING:
    from pipelines.parameters import Parameters


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Everything that is known before a run's first step."""

    project: Path
    workspace: Workspace
    task: Task
    environment: str
    parameters: Parameters


def parse_pairs(pairs: Sequence[str]) -> dict[str, str]:
    """Read KEY=VALUE words; UsageError for one that is none."""
    given = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"--param {pair!r} is no KEY=VALUE: write, for example, --param seed=2")
        given[key] = value
    return given


def prepare(task_name: str, environment: str, pairs: Sequence[str], *, as_of: str = "") -> Prepared:
    """Find the project, the task and its source, and settle what the run does and what it is compared with.

    An instant `as_of` ends the window, and what is known; pairs that say otherwise win.
    """
    project = enter_project()
    from pipelines import parameters

    workspace = Workspace.from_environment()
    task = find_task(task_name)
    known = {"source": task.fingerprint(workspace.source_of(task)), "code": code_digest(task, project)}
    given = ({"end": as_of, "as_of": as_of} if as_of else {}) | parse_pairs(pairs)
    chosen = parameters.load(environment, task, given, known)
    plan = chosen.digest()
    ledger = workspace.ledger(task.name)
    basis = ledger.plan_basis(plan)
    return Prepared(
        project=project,
        workspace=workspace,
        task=task,
        environment=environment,
        parameters=replace(chosen, plan=plan, basis=basis, champion=champion_of(ledger, basis)),
    )
