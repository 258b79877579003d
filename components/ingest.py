"""Ingest: read a window of a task's source into a dataset."""

from typing import NamedTuple

from kfp import dsl

from components.step import step


@step
def ingest(
    task: str,
    source: str,
    start: str,
    end: str,
    as_of: str,
    code: str,
    store: str,
    dataset: dsl.Output[dsl.Dataset],
) -> NamedTuple("Ingested", [("events", str), ("tables", str)]):  # type: ignore[valid-type]
    """Read the rows of a window of event time into a dataset; returns its address and that of the feature tables.

    Both are addressed by their content. For a task without feature tables, those are the rows again.

    Args:
        task: the task's name.
        source: fingerprint of the source that the run was planned with; "" takes what is there.
        start: first instant of the window, ISO 8601, UTC unless it says otherwise.
        end: first instant after the window.
        as_of: rows whose label became known later are left out; "" is the end of the window.
        code: digest of the code that the steps run; a change of it is no cache hit.
        store: the object store's own name; what was published in one that is gone is no cache hit.
        dataset: the rows' address, for people; they are Parquet and dataset.json.
    """
    from pathlib import Path

    from noria.steps.ingest import ingest, parse_moment, parse_window
    from noria.steps.running import running

    with running("ingest") as run:
        when = {"window": parse_window(start, end), "as_of": parse_moment("as_of", as_of or end)}
        made = ingest(run.workspace, task=task, source=source, **when, progress=run.progress)
        found = {"rows": made.dataset.rows, "not_known_yet": made.unknown, "digest": made.dataset.digest}
        where = {"address": made.uri, "tables": made.tables, "store": store}
        dataset.metadata = {**found, **where, "told": made.describe(), "code": code}
        Path(dataset.path).write_text(made.uri)
        return made.uri, made.tables
