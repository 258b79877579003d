"""Naming: from the name that a person typed to the task that has it."""

from __future__ import annotations

from noria.errors import UsageError
from noria.steps.words import ask_back
from noria.task import Task, load_task, task_names


def find_task(name: str) -> Task:
    """Load the task of that name; UsageError asks back where another name is close."""
    known = task_names()
    if name not in known and (question := ask_back(name, known)):
        raise UsageError(f"no task {name!r}: found {', '.join(known)}{question}")
    return load_task(name)
