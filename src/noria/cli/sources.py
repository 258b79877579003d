"""Sources: look at what a task would read before anything is said of it or built on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from noria.errors import SourceError
from noria.steps.ingest import parse_window
from noria.steps.workspace import Workspace
from noria.task import Task


@dataclass(frozen=True, kw_only=True)
class Source:
    """What was found in a task's source folder; `fingerprint` is the digest of what the task reads of it."""

    place: Path
    files: int
    bytes: int
    fingerprint: str


def examine_source(workspace: Workspace, task: Task, place: Path) -> Source:
    """Let the task read the source as a run would, up to its first rows; SourceError says what was found instead."""
    named = task.name in workspace.settings.sources
    variable = workspace.settings.source_variable(task.name)
    way = f"{variable} leads to {place}" if named else f"the source of {task.name} is {place}"
    if not place.exists():
        raise SourceError(
            f"{way}, where nothing is: expected the folder of the task's source data. Correct {variable}, or do "
            "without it"
        )
    try:
        fingerprint = task.fingerprint(place)
        _read_first(task, place)
    # A task that somebody brought may let the errors of its libraries through.
    except (SourceError, OSError, ValueError, LookupError) as error:
        raise SourceError(f"{way}, which {task.name} cannot read: {error}") from error
    sizes = [path.stat().st_size for path in (place.rglob("*") if place.is_dir() else [place]) if path.is_file()]
    return Source(place=place, files=len(sizes), bytes=sum(sizes), fingerprint=fingerprint)


def _read_first(task: Task, place: Path) -> None:
    """Read the first rows of the task's own window: that shows files that are torn, altered or of another format."""
    start, end = (task.defaults.get(name) for name in ("start", "end"))
    if not isinstance(start, str) or not isinstance(end, str):
        return  # the task leaves its window to each run
    table = next(iter(task.read(place, parse_window(start, end))), None)
    if table is None or not len(table):
        raise SourceError(f"it holds no row from {start} to {end}: expected some in the task's own window")
