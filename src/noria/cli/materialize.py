"""Materialize: a task's newest features, from its source into the online store that the predictor reads."""

from __future__ import annotations

import shutil
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from noria.cli.naming import find_task
from noria.cli.output import console, make_table, print_json, show_path, show_time
from noria.cli.project import open_workspace
from noria.errors import SourceError, UsageError
from noria.ml.durable import staged
from noria.steps.ingest import parse_moment
from noria.steps.tables import TablesFacts, open_tables, publish_tables
from noria.steps.workspace import Workspace, now
from noria.task import TakesFeatures

MOST_HOURS = 1_000_000  # a century
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

if TYPE_CHECKING:
    from feature_repo.materialising import Materialised
    from noria.features import FeatureService


def materialize(task: str, *, as_of: str, late_hours: float, whole: bool, as_json: bool) -> None:
    """Have the task write its tables as of a moment, and put each key's newest row into the online store.

    Without a moment it is the newest of the tables, but not after now. UsageError for a task without features.
    """
    found = find_task(task)
    if not isinstance(found, TakesFeatures):
        raise UsageError(f"task {task} takes no features: expected one with a feature service, such as flights")
    if not 0 <= late_hours <= MOST_HOURS:
        raise UsageError(f"--late-hours is {late_hours:g}: expected 0 or more, up to {MOST_HOURS:,}; or --whole")
    moment = _read_moment(as_of) if as_of else now()
    lateness = None if whole else timedelta(hours=late_hours)
    workspace, begun = open_workspace(), time.perf_counter()
    with console(sys.stderr if as_json else sys.stdout).status("writing the tables") as status:
        folder, facts = open_tables(workspace, publish_tables(workspace, found, workspace.source_of(found), moment))
        status.update("putting the newest rows online")
        done, held = _materialise(workspace, found.service, folder, moment if as_of else None, lateness)
        place = _lay_out(folder, facts)
    online, took = workspace.settings.online, time.perf_counter() - begun
    if as_json:
        print_json({"online": online, "tables": str(place), "report": done, "held_until": held, "seconds": took})
    else:
        _show(done, held, online, took)


def _read_moment(as_of: str) -> datetime:
    """UsageError for one that is still to come: later runs would go on from there, and leave out what comes before."""
    moment = parse_moment("--as-of", as_of)
    if moment > now():
        raise UsageError(f"--as-of is {as_of}, which is still to come: expected a moment up to now, or none")
    return moment


def _lay_out(folder: Path, facts: TablesFacts) -> Path:
    """Put the tables where Feast's own command looks for them, each file whole; says where that is."""
    from feature_repo.opening import tables_folder

    place = tables_folder(facts.service)
    for name in facts.tables:
        with staged(place) as staging:
            shutil.copyfile(folder / f"{name}.parquet", staging)
            staging.replace(place / f"{name}.parquet")
    return place


def _materialise(
    workspace: Workspace, service: FeatureService, tables: Path, as_of: datetime | None, lateness: timedelta | None
) -> tuple[Materialised, datetime | None]:
    """What was done, and until when the store had been materialised before; None for a store without these views."""
    from feature_repo.materialising import materialise, newest_moment
    from noria.stores.online.store import open_online

    newest = newest_moment(service, tables)
    if newest is None:
        raise SourceError(
            f"the feature tables in {tables} hold no row: expected some by then; look at --as-of and the task's source"
        )
    store = open_online(workspace.settings.online, password_file=workspace.settings.online_password_file)
    try:
        marks = store.marks()
        held = max((marks[view.name] for view in service.views if view.name in marks), default=None)
        done = materialise(store, service, tables, as_of or newest, lateness=lateness)
        return done, None if held is None else EPOCH + timedelta(microseconds=held)
    finally:
        store.close()


def _show(done: Materialised, held: datetime | None, online: str, took: float) -> None:
    """A store never goes back, so one that is ahead of the moment is no store as of that moment: that is told."""
    ahead = held is not None and held > done.until
    reach = "rows known at" if ahead else "until"
    table = make_table(
        f"{done.service} {reach} {show_time(done.until)}", ["view", "rows", "written", "same", "older", "s"]
    )
    for name, view in done.views.items():
        counts = (view.seen, view.written, view.same, view.older)
        table.add_row(name, *(f"{count:,}" for count in counts), f"{view.seconds:.2f}")
    screen = console()
    screen.print(table)
    if lost := sum(view.without_key for view in done.views.values()):
        screen.print(f"{lost:,} keys lack a part: their rows are nobody's")
    if held is not None and ahead:
        screen.print(
            f"The store holds newer rows, until {show_time(held)}, and keeps them; for a store as of "
            f"{show_time(done.until)} name another one: NORIA_ONLINE=another.db noria materialize …",
            soft_wrap=True,
        )
    told = f"{took:.1f} s, {done.seconds:.2f} s of them to put the rows online"
    screen.print(f"\nOnline  {show_path(online)}\nTook    {told}", soft_wrap=True)
