"""Task: the seam for a user's own problem, found by the entry point group `noria.tasks`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from noria.errors import UsageError
from noria.schema import Schema

if TYPE_CHECKING:
    import pyarrow as pa
    import torch

Value = bool | int | float | str
Rows = Mapping[str, NDArray[Any]]  # column name -> array of shape (rows, *column.shape)
Rule = Callable[[Rows], NDArray[np.float64]]  # features -> probabilities of shape (rows, classes)


@dataclass(frozen=True, kw_only=True)
class Window:
    """A span of event time, in UTC: `start` is in it, `end` is not."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise UsageError(f"window {self.start} to {self.end} lacks a time zone: give instants in UTC")
        if self.start >= self.end:
            raise UsageError(f"window {self.start} to {self.end} is empty: its end must come after its start")


class Task(Protocol):
    """A problem that the platform can keep a model fresh for; everything not said here is the platform's."""

    name: str  # [a-z0-9-]{1,63}
    schema: Schema
    classes: tuple[str, ...]  # the label's values, by index
    costs: tuple[tuple[float, ...], ...]  # costs[truth][decision] of an error, 0 on the diagonal
    defaults: Mapping[str, Value]  # the task's own values for pipeline parameters: window, days, training recipe

    def fingerprint(self, source: Path | None) -> str:
        """Hash what `read` would read: equal bytes, equal text. Raises SourceError where nothing can be read."""

    def read(self, source: Path | None, window: Window) -> Iterator[pa.Table]:
        """Yield the rows of the window in event-time order, in tables that follow `schema`; SourceError if torn."""

    def build_network(self, options: Mapping[str, Value]) -> torch.nn.Module:
        """Build a network that takes one raw tensor per feature, (rows, *shape), and returns logits (rows, classes)."""

    def augment(self, features: tuple[torch.Tensor, ...], generator: torch.Generator) -> tuple[torch.Tensor, ...]:
        """Vary a training batch, of raw tensors, at random; never called outside training rows."""

    def fit_rule(self, features: Rows, labels: NDArray[np.int64]) -> Rule:
        """Fit the rule that people would use without a model; a candidate has to beat it."""

    def slices(self, rows: Rows) -> Mapping[str, NDArray[np.bool_]]:
        """Name the parts of the rows that must not get worse: slice name -> mask of shape (rows,)."""


@runtime_checkable
class ReadsItems(Protocol):
    """A task whose features can be read from a file that a person has, such as a picture."""

    def read_item(self, path: Path) -> Rows:
        """Turn the file into one row of features; SourceError if it cannot be read as one."""


@runtime_checkable
class FetchesSource(Protocol):
    """A task whose source can be brought to this machine."""

    def find_source(self, folder: Path) -> Path | None:
        """Say where the source lies already; None if it is not here."""

    def fetch_source(self, folder: Path) -> Path:
        """Bring the source into the folder, whole or not at all; SourceError says how else it can be had."""


def load_task(name: str) -> Task:
    """Load the task that is registered under the name; UsageError lists the names there are."""
    found = {point.name: point for point in entry_points(group="noria.tasks")}
    if name not in found:
        raise UsageError(
            f"no task {name!r}: found {', '.join(sorted(found)) or 'none'}. Register a class under the entry point "
            'group "noria.tasks" and install its package into this environment'
        )
    task: Task = found[name].load()()
    return task


def task_names() -> list[str]:
    """The names of all registered tasks, sorted."""
    return sorted({point.name for point in entry_points(group="noria.tasks")})
