"""Features: give each event what was known at its moment."""

from kfp import dsl

from components.step import step


@step
def features(
    task: str,
    events: str,
    tables: str,
    code: str,
    store: str,
    dataset: dsl.Output[dsl.Dataset],
) -> str:
    """Join the events with the features of the task's service; returns the dataset's address.

    A task without one gets its rows as they are.

    Args:
        task: the task's name.
        events: address of the rows.
        tables: address of the feature tables.
        code: digest of the code that the steps run.
        store: the object store's own name; what was published in one that is gone is no cache hit.
        dataset: the address, for people; what lies there is Parquet and dataset.json.
    """
    from pathlib import Path

    from noria.steps.features import add_features
    from noria.steps.running import running

    def join(rows, folder, service):
        from feature_repo.training import join_features

        return join_features(rows, folder, service)

    with running("features") as run:
        where = {"events": events, "tables": tables}
        address = add_features(run.workspace, task=task, **where, join=join, progress=run.progress)
        dataset.metadata = {"address": address, "code": code, "store": store}
        Path(dataset.path).write_text(address)
        return address
