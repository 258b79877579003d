"""Deploy: make the candidate champion, on evidence."""

from kfp import dsl

from components.step import step


@step
def deploy(
    dataset: str,
    bundle: str,
    decision: dsl.Input[dsl.Artifact],
    validation_days: int,
    holdout_days: int,
    plan: str,
    basis: str,
    code: str,
) -> str:
    """Promote the candidate in the release ledger; returns the entry's digest.

    Where an InferenceService serves (NORIA_SERVING=kserve), it serves the candidate and answers for held-out rows
    first.

    Args:
        dataset: address of the rows; the holdout's first are asked.
        bundle: address of the candidate.
        decision: the evidence, the limits and the verdict, which is reached again from the evidence.
        validation_days: days before the holdout.
        holdout_days: the newest days.
        plan: digest of the run's inputs.
        basis: the ledger entry that made the champion which the candidate was compared with.
        code: digest of the code that the steps run.
    """
    from cluster.stage import stage_of
    from noria.steps.deploy import deploy
    from noria.steps.running import running

    with running("deploy") as run:
        given = {"uri": dataset, "bundle": bundle, "decision": decision.path}
        days = {"validation_days": validation_days, "holdout_days": holdout_days}
        release = {"plan": plan, "basis": basis, "code": code}
        stage = stage_of(run.workspace, run.progress)
        return deploy(run.workspace, **given, **days, **release, progress=run.progress, stage=stage)
