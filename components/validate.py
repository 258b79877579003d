"""Validate: hold a dataset against its schema before anything is trained on it."""

from kfp import dsl

from components.step import step


@step
def validate(
    dataset: str,
    validation_days: int,
    holdout_days: int,
    start: str,
    end: str,
    as_of: str,
    rules: dict,
    code: str,
    store: str,
    evidence: dsl.Output[dsl.Artifact],
    report: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Markdown],
) -> str:
    """Find the rows that break the schema; returns "valid", or "invalid" and the run goes no further.

    Args:
        dataset: address of the rows.
        validation_days: days before the holdout that choose the epoch.
        holdout_days: the newest days, which only the gates see.
        start: first instant that a row may have.
        end: first instant that it may not.
        as_of: moment at which its label has to have been known; "" is the end.
        rules: for the dataset as a whole: fewest rows, most duplicates.
        code: digest of the code that the steps run.
        store: the object store's own name; what was published in one that is gone is no cache hit.
        evidence: what was found, for the gates.
        report: findings by row, and the data dictionary.
        summary: what was found in a few lines, such as "refused, because …".
    """
    from pathlib import Path

    from noria.steps.ingest import parse_moment, parse_window
    from noria.steps.running import running
    from noria.steps.validate import validate

    with running("validate") as run:
        days = {"validation_days": validation_days, "holdout_days": holdout_days}
        when = {"window": parse_window(start, end), "as_of": parse_moment("as_of", as_of or end)}
        how = {**when, "rules": rules, "code": code}
        found = validate(run.workspace, uri=dataset, **days, **how, progress=run.progress)
        Path(report.path).write_text(found.page)
        Path(summary.path).write_text(found.summary)
        Path(evidence.path).write_bytes(found.encoded)
        evidence.metadata = {"code": code, "store": store}
        run.refuse(found.refusal)
        return found.word
