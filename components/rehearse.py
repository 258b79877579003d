"""Rehearse: start the real server with the candidate, and ask it before anybody else does."""

from kfp import dsl

from components.step import step


@step
def rehearse(
    dataset: dsl.Input[dsl.Dataset],
    bundle: dsl.Input[dsl.Model],
    validation_days: int,
    holdout_days: int,
    requests: int,
    code: str,
    evidence: dsl.Output[dsl.Artifact],
) -> None:
    """Ask the served candidate for held-out rows, one a request, and compare with the offline answers.

    Args:
        dataset: the rows; the holdout's first are asked.
        bundle: the candidate.
        validation_days: days before the holdout.
        holdout_days: the newest days.
        requests: how many.
        code: digest of the code that the steps run.
        evidence: wrong answers, errors, latency.
    """
    from pathlib import Path

    from noria.steps.rehearse import rehearse
    from noria.steps.running import running

    with running("rehearse") as run:
        days = {"validation_days": validation_days, "holdout_days": holdout_days}
        found = rehearse(
            run.workspace, uri=dataset.uri, bundle=bundle.uri, requests=requests, **days, progress=run.progress
        )
        Path(evidence.path).write_bytes(found)
        evidence.metadata = {"code": code}
