"""Dataset: the rows that a run would train on, written to a folder of the person's own."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from noria.cli.naming import find_task
from noria.cli.output import console, make_table, print_json, show_path
from noria.cli.project import open_workspace, started_in
from noria.errors import UsageError
from noria.ml.dataset import Dataset
from noria.ml.durable import publish_folder, staged
from noria.ml.progress import Progress
from noria.steps.features import add_features
from noria.steps.ingest import Ingested, ingest, parse_moment, parse_window
from noria.steps.workspace import Workspace
from noria.task import Tally, Task, Window

if TYPE_CHECKING:
    import pyarrow as pa

    from noria.features import FeatureService


@dataclass(frozen=True, kw_only=True)
class Written:
    """What was written; `not_known_yet` rows were left out, and `missing` is the share of null of each column.

    `counted` is what the task counted in its source over the window.
    """

    task: str
    folder: str
    digest: str
    rows: int
    not_known_yet: int
    first: datetime
    last: datetime
    as_of: datetime
    classes: dict[str, int]
    missing: dict[str, float]
    counted: tuple[Tally, ...]


def write_training_dataset(task: str, *, start: str, end: str, as_of: str, out: Path, as_json: bool) -> None:
    """Make the training dataset of a window as of a moment, and put it into the folder, whole or not at all."""
    folder = started_in() / out
    if folder.exists():
        raise UsageError(f"{out} is there already: expected a folder that is not; name another, or remove it")
    found = find_task(task)
    window = parse_window(_given("--from", start, found, "start"), _given("--to", end, found, "end"))
    moment = parse_moment("--as-of", as_of) if as_of else window.end
    workspace = open_workspace()
    screen = console(sys.stderr if as_json else sys.stdout)
    with screen.status("reading") as status:

        def tell(text: str, _: float | None) -> None:
            status.update(text)

        dataset, read = read_training_dataset(workspace, found, window, moment, tell)
        with staged(folder.parent) as staging:
            shutil.copytree(dataset.folder, staging)
            publish_folder(staging, folder)
    written = _describe(found, dataset, folder, moment, read)
    if as_json:
        print_json(written)
    else:
        _show(written)


def read_training_dataset(
    workspace: Workspace, task: Task, window: Window, as_of: datetime, progress: Progress
) -> tuple[Dataset, Ingested]:
    """Do what a run's steps `ingest` and `features` do: the rows with their features, and what was read for them."""
    read = ingest(workspace, task=task.name, source="", window=window, as_of=as_of, progress=progress)
    where = {"events": read.uri, "tables": read.tables}
    return workspace.fetch_dataset(
        add_features(workspace, task=task.name, **where, join=_join, progress=progress)
    ), read


def _given(option: str, text: str, task: Task, name: str) -> str:
    """The option, or else the task's own window."""
    if text:
        return text
    usual = task.defaults.get(name)
    if not isinstance(usual, str):
        raise UsageError(f"task {task.name} has no window of its own: give {option}")
    return usual


def _join(rows: pa.Table, tables: Path, service: FeatureService) -> pa.Table:
    from feature_repo.training import join_features

    return join_features(rows, tables, service)


def _describe(task: Task, dataset: Dataset, folder: Path, as_of: datetime, read: Ingested) -> Written:
    import numpy as np

    labels = np.bincount(dataset.load([dataset.schema.label.name])[dataset.schema.label.name])
    nulls = dataset.nulls()
    return Written(
        task=task.name,
        folder=str(folder),
        digest=dataset.digest,
        rows=dataset.rows,
        not_known_yet=read.unknown,
        first=dataset.facts.start,
        last=dataset.facts.end,
        as_of=as_of,
        classes=dict(zip(task.classes, labels.tolist(), strict=False)),
        missing={name: round(float(mask.mean()), 6) for name, mask in nulls.items()},
        counted=read.tallies,
    )


def _show(written: Written) -> None:
    screen = console()
    shares = ", ".join(f"{name} {count:,} ({count / written.rows:.1%})" for name, count in written.classes.items())
    screen.print(
        f"{written.rows:,} rows of {written.task}, {written.first:%Y-%m-%d %H:%M} to {written.last:%Y-%m-%d %H:%M} UTC"
        f"; {written.not_known_yet:,} more were not known by {written.as_of:%Y-%m-%d %H:%M}",
        soft_wrap=True,
    )
    screen.print(shares, soft_wrap=True)
    if left := [f"{tally.rows:,} {tally.what}" for tally in written.counted if tally.left_out and tally.rows]:
        screen.print(f"Counted, not guessed: {'; '.join(left)}", soft_wrap=True)
    if written.missing:
        table = make_table("\nMissing values", ["column", "share"])
        for name, share in sorted(written.missing.items(), key=lambda item: -item[1]):
            table.add_row(name, f"{share:.2%}")
        screen.print(table)
    screen.print(f"\nDataset  {written.digest}\nFolder   {show_path(written.folder)}", soft_wrap=True)
