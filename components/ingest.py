"""Ingest: read a window of a task's source into a dataset."""

from kfp import dsl

from components.step import step


@step
def ingest(task: str, source: str, start: str, end: str, code: str, dataset: dsl.Output[dsl.Dataset]) -> None:
    """Read the rows of a window of event time into a dataset, addressed by its content.

    Args:
        task: the task's name.
        source: fingerprint of the source that the run was planned with; "" takes what is there.
        start: first instant of the window, ISO 8601, UTC unless it says otherwise.
        end: first instant after the window.
        code: digest of the code that the steps run; a change of it is no cache hit.
        dataset: Parquet and dataset.json.
    """
    from noria.steps.ingest import ingest, parse_window
    from noria.steps.running import running

    with running("ingest") as run:
        window = parse_window(start, end)
        made, dataset.uri = ingest(run.workspace, task=task, source=source, window=window, progress=run.progress)
        dataset.metadata = {"rows": made.rows, "digest": made.digest, "code": code}
