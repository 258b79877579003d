"""Datasets: what has been ingested, what its columns hold, and where sources come from."""

from __future__ import annotations

import sys

import msgspec

from noria.cli.dictionary import show_dictionary
from noria.cli.naming import find_task
from noria.cli.output import console, make_table, print_json, show_path
from noria.cli.project import open_workspace
from noria.cli.sources import examine_source
from noria.errors import ObjectMissingError, UsageError
from noria.ml.dataset import DatasetFacts
from noria.steps.validate import DataReport
from noria.steps.workspace import Workspace, report_key
from noria.task import FetchesSource, TakesFeatures, load_task, task_names


def list_datasets(*, as_json: bool) -> None:
    """List the datasets in the object store."""
    found = _datasets(open_workspace())
    if as_json:
        print_json([{"digest": digest, **msgspec.to_builtins(facts)} for digest, facts in found.items()])
        return
    if not found:
        console().print("No dataset yet: `noria run` ingests one")
        return
    table = make_table("Datasets", ["digest", "task", "holds", "rows", "from", "to"])
    # What runs train on first, the newest rows before all others; events only wait for their features.
    order = sorted(found.items(), key=lambda item: (_is_events(item[1]), item[1].task, -item[1].end.timestamp()))
    for digest, facts in order:
        span = f"{facts.start:%Y-%m-%d %H:%M}", f"{facts.end:%Y-%m-%d %H:%M}"
        table.add_row(digest[:12], facts.task, "events" if _is_events(facts) else "rows", f"{facts.rows:,}", *span)
    console().print(table)


def _is_events(facts: DatasetFacts) -> bool:
    """Whether it is what a task reads, before the features are joined."""
    task = load_task(facts.task) if facts.task in task_names() else None
    return isinstance(task, TakesFeatures) and facts.schema == task.events


def show_dataset(start: str, *, as_json: bool) -> None:
    """Show one dataset's data dictionary, as validation found it."""
    workspace = open_workspace()
    found = _datasets(workspace)
    matching = [digest for digest in found if digest.startswith(start)]
    if len(matching) != 1:
        raise UsageError(
            f"{len(matching)} datasets begin with {start!r}: `noria datasets` lists them; give more of the digest"
        )
    try:
        report = msgspec.json.decode(workspace.store.get(report_key(matching[0], "validation.json")), type=DataReport)
    except ObjectMissingError as error:
        if _is_events(found[matching[0]]):
            raise UsageError(
                f"dataset {matching[0][:12]} holds events, which are not described: expected rows with their features; "
                "`noria datasets` lists what each holds"
            ) from error
        raise UsageError(
            f"dataset {matching[0][:12]} was not validated: `noria run` validates what it trains on"
        ) from error
    if as_json:
        print_json(report)
        return
    screen = console()
    show_dictionary(screen, matching[0], report.dictionary, found[matching[0]])
    screen.print(
        f"\nReport   {show_path(workspace.store.uri(report_key(matching[0], 'validation.html')))}", soft_wrap=True
    )


def fetch_source(name: str, *, as_json: bool) -> None:
    """Bring a task's source here, unless it is here already, look into it, and say where it lies and what it holds."""
    task = find_task(name)
    workspace = open_workspace()
    place, fetched = workspace.source_of(task), False
    if place is None and isinstance(task, FetchesSource):
        folder = workspace.source_folder(name)
        folder.mkdir(parents=True, exist_ok=True)
        console(sys.stderr if as_json else sys.stdout).print(f"Fetching the source of {name}")
        place, fetched = task.fetch_source(folder), True
    found = examine_source(workspace, task, place) if place else None
    if as_json:
        facts = {"files": found.files, "bytes": found.bytes, "fingerprint": found.fingerprint} if found else {}
        print_json({"task": name, "source": str(place) if place else None, "fetched": fetched, **facts})
    elif found:
        console().print(
            f"The source of {name} lies in {show_path(str(found.place))}: {found.files:,} files, {found.bytes:,} "
            f"bytes, which {name} can read (fingerprint {found.fingerprint[:12]})",
            soft_wrap=True,
        )
    else:
        console().print(f"{name} needs no source: the task makes its data, or knows where they are")


def _datasets(workspace: Workspace) -> dict[str, DatasetFacts]:
    keys = [key for key in workspace.store.list("datasets/") if key.endswith("/dataset.json")]
    return {key.split("/")[-2]: msgspec.json.decode(workspace.store.get(key), type=DatasetFacts) for key in keys}
