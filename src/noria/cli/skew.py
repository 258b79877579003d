"""Skew: compare the features that a predictor answered with to those that training would have seen."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noria.cli.asking import champion_bundle
from noria.cli.naming import find_task
from noria.cli.output import console, make_table, print_json
from noria.cli.project import enter_project, open_workspace, started_in
from noria.cli.whose_ledger import beginning
from noria.errors import NoriaError, UsageError
from noria.ml.progress import Progress
from noria.steps.ingest import parse_moment
from noria.steps.skew import LoggedRow, Skew, compare_log, read_log
from noria.steps.tables import open_tables, publish_tables
from noria.steps.workspace import Workspace
from noria.task import TakesFeatures, Task, Window

if TYPE_CHECKING:
    import pyarrow as pa

    from noria.features import FeatureService

WEEK = timedelta(days=7)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Told:
    """What was compared and found; `share` of the values is equal, of a feature that differs `rows` rows do not."""

    task: str
    service: str
    rows: int
    degraded: int
    newer: int
    values: int
    equal: int
    share: float
    differences: tuple[Mapping[str, Any], ...]


def compare_served(task: str, *, log: Path | None, rows: int, at_least: float, as_json: bool) -> int:
    """Compare a features log, or rows of the past that are asked again now, with the point-in-time join.

    Returns the exit code, 1 where less than `at_least` of the values is equal. Without a log the champion is served,
    and asked about `rows` rows of the last week of the task's window, with the store as it was at each moment.
    """
    if not 0 < at_least <= 1:
        raise UsageError(f"--at-least is {at_least}: expected a share above 0 and up to 1")
    if rows < 1:
        raise UsageError(f"--rows is {rows}: expected at least 1")
    found = find_task(task)
    if not isinstance(found, TakesFeatures):
        raise UsageError(f"task {task} takes no features from a store: there is nothing to compare")
    path = None if log is None else started_in() / log
    if path is not None and not path.is_file():
        raise UsageError(f"{log} is no file: expected the features log that a predictor wrote with --features-log")
    workspace = open_workspace()
    with console(sys.stderr if as_json else sys.stdout).status("reading") as status:

        def tell(text: str, _: float | None) -> None:
            status.update(text)

        skew = _replay(workspace, found, rows, tell) if path is None else _compare(workspace, found, read_log(path))
    _show(task, skew, at_least, as_json=as_json)
    return int(skew.share < at_least)


def _replay(workspace: Workspace, task: Task, rows: int, tell: Progress) -> Skew:
    """Ask the champion about the past, through the real predictor and an online store of its own."""
    from feature_repo.materialising import materialise
    from noria.steps.features import add_features
    from noria.steps.ingest import ingest
    from noria.steps.replay import Past, replay

    bundle = champion_bundle(workspace, task.name)
    if bundle is None:
        raise NoriaError(f"task {task.name} has no champion yet: {beginning(workspace.settings, task.name)}")
    if not isinstance(task, TakesFeatures) or bundle.facts.service is None:
        raise UsageError(f"champion {bundle.digest[:12]} names no feature service: run the task anew")
    end = parse_moment("end", str(task.defaults["end"]))
    window = Window(start=end - WEEK, end=end)
    read = ingest(workspace, task=task.name, source="", window=window, as_of=end, progress=tell)
    where = {"events": read.uri, "tables": read.tables}
    dataset = workspace.fetch_dataset(add_features(workspace, task=task.name, **where, join=_join, progress=tell))
    folder, _ = open_tables(workspace, read.tables)
    past = Past(dataset=dataset, service=bundle.facts.service, tables=folder, rows=rows)
    with workspace.scratch() as scratch:
        logged = replay(past, bundle, materialise=materialise, scratch=scratch, progress=tell, root=enter_project())
    service, schema = past.service, bundle.facts.schema
    return compare_log(logged, service=service, schema=schema, tables=folder, join=_join, replayed=True)


def _compare(workspace: Workspace, task: Task, logged: list[LoggedRow]) -> Skew:
    """Join with the tables as they were known at the log's last moment; what came later counts for no row."""
    if not isinstance(task, TakesFeatures):
        raise TypeError(f"task {task.name} takes no features")
    last = EPOCH + timedelta(microseconds=max((row.moment for row in logged), default=0))
    tables = publish_tables(workspace, task, workspace.source_of(task), last)
    folder, _ = open_tables(workspace, tables)
    return compare_log(logged, service=task.service, schema=task.schema, tables=folder, join=_join)


def _join(rows: pa.Table, tables: Path, service: FeatureService) -> pa.Table:
    from feature_repo.training import join_features

    return join_features(rows, tables, service)


def _show(task: str, skew: Skew, at_least: float, *, as_json: bool) -> None:
    if as_json:
        differences = tuple(
            {
                "feature": one.feature,
                "rows": one.rows,
                "moment": _moment(one.moment),
                "keys": dict(one.keys),
                "served": one.served,
                "trained": one.trained,
            }
            for one in skew.differences
        )
        print_json(
            Told(
                task=task,
                service=skew.service,
                rows=skew.rows,
                degraded=skew.degraded,
                newer=skew.newer,
                values=skew.values,
                equal=skew.equal,
                share=skew.share,
                differences=differences,
            )
        )
        return
    screen = console()
    verdict = "enough" if skew.share >= at_least else f"less than {at_least:.2%}"
    screen.print(
        f"{skew.equal:,} of {skew.values:,} values of {skew.service} are equal in serving and in training: "
        f"{skew.share:.3%}, {verdict}",
        soft_wrap=True,
    )
    if skew.degraded:
        screen.print(f"{skew.degraded:,} rows were answered without the store, and are not compared", soft_wrap=True)
    if skew.newer:
        screen.print(
            f"{skew.newer:,} rows ask for a moment before what the store held: what it knew only later is not compared",
            soft_wrap=True,
        )
    if skew.differences:
        table = make_table(f"\nDifferences in {skew.rows:,} rows", ["feature", "rows", "first", "served", "trained"])
        for one in skew.differences:
            table.add_row(one.feature, f"{one.rows:,}", _moment(one.moment), str(one.served), str(one.trained))
        screen.print(table)


def _moment(microseconds: int) -> str:
    return f"{EPOCH + timedelta(microseconds=microseconds):%Y-%m-%d %H:%M:%S}"
