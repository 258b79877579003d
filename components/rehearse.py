"""Rehearse: start the real server with the candidate, and ask it before anybody else does."""

from kfp import dsl

from components.step import step


@step
def rehearse(
    dataset: str,
    bundle: str,
    validation_days: int,
    holdout_days: int,
    requests: int,
    load_requests: int,
    code: str,
    evidence: dsl.Output[dsl.Artifact],
) -> None:
    """Ask the served candidate for held-out rows, one a request, and compare with the offline answers.

    Args:
        dataset: address of the rows; the holdout's first are asked.
        bundle: address of the candidate.
        validation_days: days before the holdout.
        holdout_days: the newest days.
        requests: how many, one after the other.
        load_requests: how many more over several connections at once, in two seconds at most.
        code: digest of the code that the steps run.
        evidence: wrong answers, errors, latency, rows a second, memory.
    """
    from pathlib import Path

    from noria.steps.rehearse import rehearse
    from noria.steps.running import running

    with running("rehearse") as run:
        days = {"validation_days": validation_days, "holdout_days": holdout_days}
        asked = {"requests": requests, "load_requests": load_requests}
        given = {"uri": dataset, "bundle": bundle}
        found = rehearse(run.workspace, **given, **days, **asked, progress=run.progress)
        Path(evidence.path).write_bytes(found)
        evidence.metadata = {"code": code}
