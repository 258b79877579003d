"""Task: the seam for a user's own problem, found by the entry point group `noria.tasks`."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from noria.errors import SourceError, UsageError
from noria.features import FeatureService
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

    def holds(self, times: NDArray[np.datetime64]) -> NDArray[np.bool_]:
        """Which of the instants, in UTC, lie in the window: a mask of their shape."""
        start, end = (np.datetime64(at.astimezone(UTC).replace(tzinfo=None), "us") for at in (self.start, self.end))
        inside: NDArray[np.bool_] = (times >= start) & (times < end)
        return inside


@dataclass(frozen=True, kw_only=True)
class Tally:
    """`rows` of the part `source` of a source of which `what` is true; 0 is said as well, for it was looked for.

    `left_out` tells that for this reason they are no rows of the task's.
    """

    source: str
    what: str
    rows: int
    left_out: bool = False


class Task(Protocol):
    """A problem that the platform can keep a model fresh for; everything not said here is the platform's.

    A class that derives from this one says what is abstract here, and gets the rest as it stands.
    """

    name: str  # [a-z0-9-]{1,63}
    schema: Schema
    classes: tuple[str, ...]  # the label's values, by index
    # The task's own values for pipeline parameters: window, days, recipe; `network` and `training` are groups.
    defaults: Mapping[str, Value | Mapping[str, Value]]
    # May an older model, and then the rule, answer where the model is missing, slow or failing? Such answers say so.
    fallback: bool = False

    @property
    def costs(self) -> tuple[tuple[float, ...], ...]:
        """costs[truth][decision] of an error, 0 on the diagonal; here, every error costs 1."""
        places = range(len(self.classes))
        return tuple(tuple(float(truth != decision) for decision in places) for truth in places)

    def fingerprint(self, source: Path | None) -> str:
        """Hash what `read` would read: equal bytes, equal text. Raises SourceError where nothing can be read.

        Here: every file of the source folder, by its name and content. Without a folder the task makes its data
        itself, and the digest of its code, which the platform takes, says all of them.
        """
        return hash_folder(source) if source else hashlib.sha256().hexdigest()

    @abstractmethod
    def read(self, source: Path | None, window: Window) -> Iterator[pa.Table]:
        """Yield the rows of the window in event-time order, in tables that follow `schema`; SourceError if torn."""

    @abstractmethod
    def build_network(self, options: Mapping[str, Value]) -> torch.nn.Module:
        """Build a network that takes one raw tensor per feature, (rows, *shape), and returns logits (rows, classes)."""

    def augment(
        self,
        features: tuple[torch.Tensor, ...],
        generator: torch.Generator,  # noqa: ARG002
    ) -> tuple[torch.Tensor, ...]:
        """Vary a training batch, of raw tensors, at random; never called outside training rows. Here: as it is."""
        return features

    @abstractmethod
    def fit_rule(self, features: Rows, labels: NDArray[np.int64]) -> Rule:
        """Fit the rule that people would use without a model, to features and time; a candidate has to beat it."""

    def slices(self, rows: Rows) -> Mapping[str, NDArray[np.bool_]]:  # noqa: ARG002
        """Name the parts of the rows that must not get worse: slice name -> mask of shape (rows,). Here: none."""
        return {}

    def told(self, rows: Rows) -> Mapping[str, NDArray[np.bool_]]:  # noqa: ARG002
        """Name further parts of the rows, of which figures are told and which no gate judges. Here: none."""
        return {}


def hash_folder(folder: Path) -> str:
    """Hash every file below the folder, behind links too, by its path and content; SourceError where there is none."""
    digest = hashlib.sha256()
    files = sorted(_walk(folder, frozenset())) if folder.is_dir() else []
    if not files:
        raise SourceError(
            f"{folder} holds no file: expected the folder of a task's source data; look at NORIA_SOURCE_*"
        )
    for path in files:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()


def _walk(folder: Path, above: frozenset[Path]) -> Iterator[Path]:
    """The files below a folder; a link that leads back to a folder it lies in is not followed."""
    above |= {folder.resolve()}
    for path in folder.iterdir():
        if path.is_file():
            yield path
        elif path.is_dir() and path.resolve() not in above:
            yield from _walk(path, above)


@runtime_checkable
class ReadsItems(Protocol):
    """A task whose features can be read from a file that a person has, such as a picture."""

    def read_item(self, path: Path) -> Rows:
        """Turn the file into one row of features; SourceError if it cannot be read as one."""


@runtime_checkable
class ChecksNetwork(Protocol):
    """A task that knows its network's options without building it, so that a run with a wrong one does not start."""

    def check_network(self, options: Mapping[str, Value]) -> None:
        """Refuse with UsageError what `build_network` would refuse; torch is not imported for it."""


@runtime_checkable
class SeesRows(Protocol):
    """A network that takes scales from the training rows, such as quantiles or means."""

    def see(self, features: tuple[torch.Tensor, ...]) -> None:
        """Look at all training rows, once, before anything is learnt; what is found belongs into buffers."""


@runtime_checkable
class WritesGraph(Protocol):
    """A rule that can be served without its code; a task that declares a fallback needs one."""

    def write_graph(self, schema: Schema) -> bytes:
        """The rule as an ONNX graph, from the schema's features as they are to float32 "probabilities"."""


@runtime_checkable
class FetchesSource(Protocol):
    """A task whose source can be brought to this machine."""

    def find_source(self, folder: Path) -> Path | None:
        """Say where the source lies already; None if it is not here."""

    def fetch_source(self, folder: Path) -> Path:
        """Bring the source into the folder, whole or not at all; SourceError says how else it can be had."""


@runtime_checkable
class CountsSource(Protocol):
    """A task that counts what its source lacks, or says in doubt: it is told to people, and never guessed."""

    def tally(self, source: Path | None, window: Window) -> tuple[Tally, ...]:
        """Count over what of the source would be asked about in the window; SourceError if it is torn."""


@runtime_checkable
class TakesFeatures(Protocol):
    """A task whose rows are joined, each as of its own moment, with features that are kept in a feature store.

    Its `read` yields rows that follow `events`: what is known when the question is asked, with the label. `schema` has
    the same columns, and those fields and ages of the service that are features.
    """

    service: FeatureService
    events: Schema

    def write_features(self, source: Path | None, folder: Path) -> None:
        """Write the feature tables into the empty folder, as <view>.parquet; SourceError if the source is torn.

        A row's `event_timestamp` is the moment from which its values were known.
        """


def load_task(name: str) -> Task:
    """Load the task that is registered under the name; UsageError lists the names there are."""
    found = {point.name: point for point in entry_points(group="noria.tasks")}
    if name not in found:
        raise UsageError(
            f"no task {name!r}: found {', '.join(sorted(found)) or 'none'}. Register a class under the entry point "
            'group "noria.tasks" and install its package into this environment'
        )
    made = found[name].load()
    if missing := sorted(getattr(made, "__abstractmethods__", ())):
        raise UsageError(
            f"task {name} ({made.__name__}) lacks {', '.join(missing)}: noria.task.Task says what each does"
        )
    task: Task = made()
    return task


def task_names() -> list[str]:
    """The names of all registered tasks, sorted."""
    return sorted({point.name for point in entry_points(group="noria.tasks")})
