"""Features: give each event what was known at its moment."""

from kfp import dsl

from components.step import step


@step
def features(
    task: str,
    events: dsl.Input[dsl.Dataset],
    tables: dsl.Input[dsl.Dataset],
    code: str,
    dataset: dsl.Output[dsl.Dataset],
) -> None:
    """Join the events with the features of the task's service; a task without one gets its rows as they are.

    Args:
        task: the task's name.
        events: the rows, addressed by their content.
        tables: the feature tables, addressed by theirs.
        code: digest of the code that the steps run.
        dataset: Parquet and dataset.json.
    """
    from noria.steps.addresses import address_of, hand_on
    from noria.steps.features import add_features
    from noria.steps.running import running

    def join(rows, folder, service):
        from feature_repo.training import join_features

        return join_features(rows, folder, service)

    with running("features") as run:
        where = {"events": address_of(events), "tables": address_of(tables)}
        made = add_features(run.workspace, task=task, **where, join=join, progress=run.progress)
        dataset.metadata = {"code": code}
        hand_on(dataset, made)
