"""Deploy: make the candidate champion, on evidence."""

from kfp import dsl

from components.step import step


@step
def deploy(bundle: dsl.Input[dsl.Model], decision: dsl.Input[dsl.Artifact], plan: str, basis: str, code: str) -> str:
    """Promote the candidate in the release ledger; returns the entry's digest.

    Args:
        bundle: the candidate.
        decision: the evidence, the limits and the verdict, which is reached again from the evidence.
        plan: digest of the run's inputs.
        basis: the ledger entry that made the champion which the candidate was compared with.
        code: digest of the code that the steps run.
    """
    from noria.steps.deploy import deploy
    from noria.steps.running import running

    with running("deploy") as run:
        release = {"plan": plan, "basis": basis, "code": code}
        return deploy(run.workspace, bundle=bundle.uri, decision=decision.path, **release, progress=run.progress)
